"""Scenario transcripts: each file of scenarios/ is a series of commands with what they print.

A file is a list of blocks with an empty line between them: comments, commands one a line, four dashes, the output.
`pytest --rewrite` writes the present output into the files; review it as a diff.
"""

from pathlib import Path

import pytest

from tests.consensus.raft.interaction import Interaction

SCENARIOS = sorted((Path(__file__).parent / "scenarios").glob("*.txt"))
DASHES = "----"


def play(text: str) -> str:
    """The transcript with the output that its commands have now."""
    interaction = Interaction()
    blocks = []
    for block in text.strip().split("\n\n"):
        head = block.split("\n" + DASHES)[0].splitlines()
        commands = [line for line in head if not line.startswith("#")]
        output = [line for command in commands for line in interaction.run(command)]
        blocks.append("\n".join([*head, DASHES, *output] if commands else head))
    return "\n\n".join(blocks) + "\n"


@pytest.mark.parametrize("path", SCENARIOS, ids=[path.stem for path in SCENARIOS])
def test_scenario(path: Path, request: pytest.FixtureRequest) -> None:
    recorded = path.read_text()
    played = play(recorded)
    if request.config.getoption("--rewrite"):
        path.write_text(played)
    else:
        assert played == recorded


def test_there_are_scenarios() -> None:
    assert len(SCENARIOS) >= 40


def test_a_changed_output_is_noticed() -> None:
    honest = play("add 1 voters=1\n----\n\nstatus 1\n----\n")
    assert "role=follower" in honest
    assert play(honest.replace("follower", "leader")) == honest
