import sys
from io import BytesIO
from pathlib import Path

import pytest

from raftgate.ctl.errors import CommandError
from raftgate.ctl.invocation import Console
from raftgate.ctl.programs import run_program, show_words

PATH = {"PATH": "/usr/bin:/bin"}


def console() -> tuple[Console, BytesIO, BytesIO]:
    out, err = BytesIO(), BytesIO()
    return Console(BytesIO(b"not for programs"), out, err), out, err


def refusal(*words: str) -> tuple[str, int]:
    with pytest.raises(CommandError) as caught:
        run_program(words, PATH, console()[0])
    return caught.value.text, caught.value.code


def test_a_program_writes_where_the_verb_writes() -> None:
    streams, out, err = console()
    run_program(["sh", "-c", "echo out; echo err >&2; cat"], PATH, streams)
    assert (out.getvalue(), err.getvalue()) == (b"out\n", b"err\n")


def test_a_programs_environment_is_what_it_is_given() -> None:
    streams, out, _ = console()
    run_program(["sh", "-c", 'echo "$A"'], {**PATH, "A": "\udcff é"}, streams)
    assert out.getvalue() == b"\xff \xc3\xa9\n"


def test_words_may_be_any_bytes() -> None:
    streams, out, _ = console()
    run_program(["printf", "%s", "\udcfe"], PATH, streams)
    assert out.getvalue() == b"\xfe"


def test_real_files_are_handed_on(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w+b") as out:
        run_program(["echo", "x"], PATH, Console(BytesIO(), out, BytesIO()))
    assert (tmp_path / "out").read_bytes() == b"x\n"


def test_how_programs_end() -> None:
    assert refusal("sh", "-c", "exit 7") == ("exit status 7", 7)
    assert refusal("sh", "-c", "kill -9 $$") == ("signal: killed", 255)
    assert refusal("sh", "-c", "kill -TERM $$") == ("signal: terminated", 255)


def test_programs_that_cannot_be_started(tmp_path: Path) -> None:
    assert refusal("no such program") == ('exec: "no such program": executable file not found in $PATH', 1)
    missing = str(tmp_path / "missing")
    assert refusal(missing) == (f"fork/exec {missing}: no such file or directory", 1)
    assert refusal(str(tmp_path)) == (f"fork/exec {tmp_path}: permission denied", 1)
    assert refusal(sys.executable, "\0")[1] == 1


def test_words_as_go_shows_them() -> None:
    assert show_words(["sh", "-c", 'a "b" é']) == '["sh" "-c" "a \\"b\\" é"]'
