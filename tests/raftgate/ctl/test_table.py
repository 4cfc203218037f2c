import pytest

from raftgate.ctl.table import ASCII, UNICODE, borders_for, table

ROWS = [("127.0.0.1:24790", "true", "766.725µs", ""), ("h", "false", "5s", "context deadline exceeded")]


def test_a_table_centres_titles_and_aligns_cells_right() -> None:
    assert table(("endpoint", "health", "took", "error"), ROWS) == (
        "+-----------------+--------+-----------+---------------------------+\n"
        "|    ENDPOINT     | HEALTH |   TOOK    |           ERROR           |\n"
        "+-----------------+--------+-----------+---------------------------+\n"
        "| 127.0.0.1:24790 |   true | 766.725µs |                           |\n"
        "|               h |  false |        5s | context deadline exceeded |\n"
        "+-----------------+--------+-----------+---------------------------+\n"
    )


def test_a_table_in_unicode() -> None:
    assert table(("a", "b"), [("1", "22")], UNICODE) == "┌───┬────┐\n│ A │ B  │\n├───┼────┤\n│ 1 │ 22 │\n└───┴────┘\n"


def test_a_table_without_rows_keeps_its_head() -> None:
    assert table(("a", "is b"), []) == "+---+------+\n| A | IS B |\n+---+------+\n+---+------+\n"


def test_the_environment_chooses_the_borders() -> None:
    assert borders_for({}) is ASCII
    assert borders_for({"RAFTGATECTL_TABLE": "ascii"}) is ASCII
    assert borders_for({"RAFTGATECTL_TABLE": "unicode"}) is UNICODE


@pytest.mark.parametrize(
    ("cell", "lines"),
    [
        # As etcdctl 3.5.16 drew them.
        (
            "memberID:5 alarm:NOSPACE , alarm:CORRUPT , memberID:10276657743932975437 alarm:CORRUPT ",
            [
                "      memberID:5 alarm:NOSPACE",
                "             , alarm:CORRUPT ,",
                " memberID:10276657743932975437",
                "                alarm:CORRUPT ",
            ],
        ),
        (
            "Active Alarm(s): NOSPACE CORRUPT CORRUPT ",
            ["      Active Alarm(s): NOSPACE", "              CORRUPT CORRUPT "],
        ),
        ("memberID:5 alarm:NOSPACE ", ["memberID:5 alarm:NOSPACE "]),
        ("etcdserver: user name is empty", ["etcdserver: user name is empty"]),
        ("a" * 40, ["a" * 40]),
        ("b " + "a" * 40, [" " * 39 + "b", "a" * 40]),
    ],
)
def test_long_cells_are_wrapped(cell: str, lines: list[str]) -> None:
    drawn = table(("x", "errors"), [("1", cell)]).splitlines()[3:-1]
    assert drawn == [f"| {mark} | {line} |" for mark, line in zip("1" + " " * len(lines), lines, strict=False)]
