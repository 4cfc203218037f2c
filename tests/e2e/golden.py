"""Recordings of the answers of the real etcd, a JSON file for each file of cases.

Rewritten from a real etcd 3.5.16 by `pytest tests/e2e --rewrite`; the diff is to be read.
"""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.e2e.answers import Answer, usual_headers
from tests.e2e.case import Expected

DIRECTORY = Path(__file__).with_name("golden")

# The recordings hold this version's answers, with the newer JSON gateway of Debian's build (http.md, head).
RECORDED_VERSION = "3.5.16"

Recording = Sequence[Answer | None]


def version_of(program: str) -> str:
    """Give the version of a real etcd."""
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[0].rpartition(" ")[2]


def load(name: str) -> dict[str, Recording]:
    """Read the answers of a file of cases, by case; None for a step that etcd does not get."""
    path = DIRECTORY / f"{name}.json"
    if not path.exists():
        return {}
    return {case: [_answer(item) for item in answers] for case, answers in json.loads(path.read_text()).items()}


def save(name: str, recordings: dict[str, Recording]) -> None:
    """Write the answers of a file of cases, one line a step."""
    cases = []
    for case, answers in recordings.items():
        lines = ",\n".join(f"    {json.dumps(_json(answer), ensure_ascii=False)}" for answer in answers)
        cases.append(f"  {json.dumps(case)}: [\n{lines}\n  ]")
    (DIRECTORY / f"{name}.json").write_text("{\n" + ",\n".join(cases) + "\n}\n")


def _json(answer: Answer | None) -> object:
    if answer is None:
        return None
    written: dict[str, object] = {"status": answer.status}
    if answer.headers != usual_headers(answer.status):
        written["headers"] = dict(sorted(answer.headers.items()))
    if answer.body is not None:
        written["body"] = answer.body
    return written


def _answer(written: dict[str, Expected] | None) -> Answer | None:
    if written is None:
        return None
    status, headers = written["status"], written.get("headers")
    assert isinstance(status, int)
    return Answer(status, dict(headers) if isinstance(headers, dict) else usual_headers(status), written.get("body"))
