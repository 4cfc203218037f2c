from io import BytesIO

from raftgate.ctl.invocation import Clock, Console
from tests.fakes.terminal import Terminal


def test_the_console_writes_any_bytes() -> None:
    console = Console(BytesIO(), BytesIO(), BytesIO())
    console.write("a\udcffé\n")
    console.complain("b\udcfe")
    assert isinstance(console.stdout, BytesIO)
    assert console.stdout.getvalue() == b"a\xff\xc3\xa9\n"
    assert isinstance(console.stderr, BytesIO)
    assert console.stderr.getvalue() == b"b\xfe\n"


def test_the_production_clock_moves() -> None:
    clock = Clock()
    before = clock.monotonic()
    clock.sleep(0)
    assert clock.monotonic() >= before


def test_an_invocation_holds_what_the_words_said() -> None:
    invocation = Terminal().invocation(["get", "a", "--prefix"])
    assert invocation.arguments == ("a",)
    assert invocation.flags.boolean("prefix")
    assert invocation.found.command.name == "get"
