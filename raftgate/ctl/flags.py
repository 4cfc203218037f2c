"""Flags as etcdctl's parser takes them (spf13/pflag): anywhere among the arguments, `--` ends them.

The parser knows kinds and texts of errors only; which flags there are stands in `commands`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from raftgate.ctl.errors import UsageError
from raftgate.ctl.literals import format_duration, parse_bool, parse_duration, parse_int

Value = bool | int | str | tuple[str, ...]


class Kind(Enum):
    """What a flag holds; a duration is held in nanoseconds."""

    BOOL = auto()
    DURATION = auto()
    INT = auto()
    STRING = auto()
    STRINGS = auto()


_PARSERS: dict[Kind, Callable[[str], Value]] = {
    Kind.BOOL: parse_bool,
    Kind.DURATION: parse_duration,
    Kind.INT: parse_int,
    Kind.STRING: str,
    Kind.STRINGS: lambda text: tuple(text.split(",")) if text else (),
}


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag of a command."""

    name: str
    kind: Kind
    default: Value
    help: str
    short: str = ""
    """The single letter that may stand for the name."""

    def parse(self, text: str) -> Value:
        """Raises: ValueError."""
        return _PARSERS[self.kind](text)

    def show(self, value: Value) -> str:
        """`value` as usage texts and `--debug` print it."""
        if self.kind is Kind.DURATION:
            assert isinstance(value, int)
            return format_duration(value)
        if isinstance(value, bool):
            return str(value).lower()
        return f"[{','.join(value)}]" if isinstance(value, tuple) else str(value)


@dataclass(frozen=True, slots=True)
class Values:
    """The values of a command's flags, by name."""

    values: Mapping[str, Value]
    given: frozenset[str] = field(default=frozenset())
    """Names that stood on the command line."""

    def boolean(self, name: str) -> bool:
        """The value of a flag of kind BOOL."""
        value = self.values[name]
        assert isinstance(value, bool)
        return value

    def integer(self, name: str) -> int:
        """The value of a flag of kind INT, or nanoseconds of one of kind DURATION."""
        value = self.values[name]
        assert isinstance(value, int)
        return value

    def string(self, name: str) -> str:
        """The value of a flag of kind STRING."""
        value = self.values[name]
        assert isinstance(value, str)
        return value

    def strings(self, name: str) -> tuple[str, ...]:
        """The value of a flag of kind STRINGS."""
        value = self.values[name]
        assert isinstance(value, tuple)
        return value


def parse(flags: Iterable[Flag], words: Sequence[str]) -> tuple[Values, tuple[str, ...]]:
    """Splits `words` into flags and arguments.

    Raises: UsageError.
    """
    parser = _Parser(flags)
    parser.parse(list(words))
    return Values(parser.values, frozenset(parser.given)), tuple(parser.arguments)


class _Parser:
    """One pass over a command line."""

    def __init__(self, flags: Iterable[Flag]) -> None:
        self.long = {flag.name: flag for flag in flags}
        self.short = {flag.short: flag for flag in self.long.values() if flag.short}
        self.values: dict[str, Value] = {name: flag.default for name, flag in self.long.items()}
        self.given: set[str] = set()
        self.arguments: list[str] = []

    def parse(self, words: list[str]) -> None:
        """Takes words from the front until none is left."""
        while words:
            word = words.pop(0)
            if word == "--":
                self.arguments += words
                return
            if word.startswith("--"):
                self.take_long(word, words)
            elif word.startswith("-") and word != "-":
                self.take_short(word, words)
            else:
                self.arguments.append(word)

    def take_long(self, word: str, rest: list[str]) -> None:
        name, equals, text = word[2:].partition("=")
        if not name or name.startswith("-"):
            raise UsageError(f"bad flag syntax: {word}")
        flag = self.long.get(name)
        if flag is None:
            raise UsageError(f"unknown flag: --{name}")
        if equals:
            self.set(flag, text)
        elif flag.kind is Kind.BOOL:
            self.set(flag, "true")
        elif rest:
            self.set(flag, rest.pop(0))
        else:
            raise UsageError(f"flag needs an argument: --{name}")

    def take_short(self, word: str, rest: list[str]) -> None:
        letters = word[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            flag = self.short.get(letter)
            if flag is None:
                raise UsageError(f"unknown shorthand flag: '{letter}' in -{letter}{letters}")
            if letters.startswith("=") and len(letters) > 1:
                self.set(flag, letters[1:])
                return
            if flag.kind is Kind.BOOL:
                self.set(flag, "true")
                continue
            if not letters and not rest:
                raise UsageError(f"flag needs an argument: '{letter}' in -{letter}")
            self.set(flag, letters or rest.pop(0))
            return

    def set(self, flag: Flag, text: str) -> None:
        try:
            value = flag.parse(text)
        except ValueError as error:
            name = f"-{flag.short}, --{flag.name}" if flag.short else f"--{flag.name}"
            raise UsageError(f'invalid argument "{text}" for "{name}" flag: {error}') from None
        if isinstance(value, tuple) and flag.name in self.given:  # only the first one replaces the default
            earlier = self.values[flag.name]
            assert isinstance(earlier, tuple)
            value = earlier + value
        self.values[flag.name] = value
        self.given.add(flag.name)
