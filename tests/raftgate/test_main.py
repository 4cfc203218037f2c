"""What the command answers without serving; `python -m raftgate` as a process where stdout counts."""

import subprocess
import sys
from pathlib import Path

import pytest

from raftgate.__main__ import run


def test_version(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"], {}) == 0
    assert capfd.readouterr().out.startswith("etcd Version: 3.6.13\n")


def test_help_goes_to_stdout(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"], {}) == 0
    assert "--listen-client-urls" in capfd.readouterr().out


def test_an_unknown_flag_exits_2() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "raftgate", "--bogus-flag"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "flag provided but not defined: -bogus-flag" in done.stderr


def test_a_refused_value_is_a_log_line_and_exits_1() -> None:
    command = [sys.executable, "-m", "raftgate", "--heartbeat-interval=100", "--election-timeout=400"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert '"msg":"failed to verify flags"' in done.stderr
    assert "--election-timeout[400ms] should be at least as 5 times as --heartbeat-interval[100ms]" in done.stderr


def test_a_flag_of_a_later_version_is_refused_by_name() -> None:
    done = subprocess.run([sys.executable, "-m", "raftgate", "--auto-tls"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "--auto-tls" in done.stderr


def test_a_log_file_that_cannot_be_opened(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    flags = [f"--log-outputs={tmp_path / 'none' / 'log'}", f"--data-dir={tmp_path / 'data'}"]
    assert run(flags, {}) == 1
    assert "cannot open the log output" in capfd.readouterr().err
    assert not (tmp_path / "data").exists()
