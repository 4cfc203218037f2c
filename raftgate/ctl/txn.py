"""The verb `txn`: conditions and operations read from stdin (etcdctl/ctlv3/command/txn_command.go).

Blocks end at an empty line; the end of input ends a block, too, where etcdctl gives up with `EOF`.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from io import BytesIO

from raftgate.api.kv import Compare, CompareResult, CompareTarget, RequestOp, TxnRequest
from raftgate.ctl import flags
from raftgate.ctl.client import connect
from raftgate.ctl.commands import DEL, GET, PUT, Command, find
from raftgate.ctl.errors import CommandError, ExitCode, UsageError
from raftgate.ctl.invocation import Invocation
from raftgate.ctl.kv import Words, delete_request, put_request, range_request
from raftgate.ctl.literals import parse_int
from raftgate.ctl.printers import printer
from raftgate.ctl.quoting import quote, to_bytes, to_text, unquote

_OPERATIONS = Command("txn", "operations of a transaction", children=(DEL, GET, PUT))
_RESULTS = {
    "=": CompareResult.EQUAL,
    "!=": CompareResult.NOT_EQUAL,
    "<": CompareResult.LESS,
    ">": CompareResult.GREATER,
}
_WORD = re.compile(r"""("(?:[^"\\]|\\.)*")|'([^']*)'|([^'"\t\n\f\r ][^\t\n\f\r ]*)""")
_LITERAL = r'"(?:[^"\\\n]|\\.)*"|`[^`]*`'
_KEY = re.compile(rf"[ \t]*({_LITERAL})")
_OPERATOR = re.compile(r"\)[ \t]+(\S+)")
_OPERAND = re.compile(rf"[ \t]+({_LITERAL})")


@dataclass(frozen=True, slots=True)
class _Target:
    """A field of a key that conditions may look at."""

    target: CompareTarget
    field: str
    parse: Callable[[str], int | bytes]


def _decimal(text: str) -> int:
    return parse_int(text, 10)


def _hexadecimal(text: str) -> int:
    return parse_int(text, 16)


_CREATE = _Target(CompareTarget.CREATE, "create_revision", _decimal)
_MOD = _Target(CompareTarget.MOD, "mod_revision", _decimal)
_VERSION = _Target(CompareTarget.VERSION, "version", _decimal)
_VALUE = _Target(CompareTarget.VALUE, "value", to_bytes)
_TARGETS = {
    "c": _CREATE,
    "create": _CREATE,
    "m": _MOD,
    "mod": _MOD,
    "ver": _VERSION,
    "version": _VERSION,
    "val": _VALUE,
    "value": _VALUE,
    "lease": _Target(CompareTarget.LEASE, "lease", _hexadecimal),
}


def run(invocation: Invocation) -> None:
    """Reads a transaction, runs it and prints the answers of the branch that ran."""
    if invocation.arguments:
        raise CommandError("txn command does not accept argument", ExitCode.BAD_ARGS)
    with connect(invocation) as client:
        output = printer(client.settings.output, is_hex=client.settings.is_hex)
        invocation.console.write(output(client.call(_read(invocation))))


def parse_compare(line: str) -> Compare:
    """A condition such as `mod("key") > "0"`.

    Raises: CommandError.
    """
    name, parenthesis, rest = line.partition("(")
    if not parenthesis:
        raise _bad(f"malformed comparison: {line}")
    key, operator, operand = _scan(rest)
    if operand is None:
        got = f"{name}({quote(to_bytes(key))}) {operator} {quote(b'')}"
        raise _bad(f"malformed comparison: {line}; got {got}")
    target = _TARGETS.get(name)
    if target is None:
        raise _bad(f"malformed comparison: {line} (unknown target {name})")
    if operator not in _RESULTS:  # etcdctl panics
        raise _bad(f"malformed comparison: {line} (unknown operator {operator})")
    try:
        value = target.parse(operand)
    except ValueError:
        raise _bad(f"invalid txn compare request: {line}") from None
    fields = {target.field: value}
    return Compare(result=_RESULTS[operator], target=target.target, key=to_bytes(key), **fields)  # type: ignore[arg-type]  # each field gets its own type


def parse_operation(line: str, invocation: Invocation) -> RequestOp:
    """An operation: `put`, `get` or `del` with arguments and flags as on the command line.

    Raises: CommandError.
    """
    words = split_words(line)
    if len(words) < 2:
        raise _bad(f"invalid txn compare request: {line}")
    try:
        found = find(_OPERATIONS, words)
        values, arguments = flags.parse(found.own, found.words)
    except UsageError:
        raise _bad(f"invalid txn request: {line}") from None
    if found.command is _OPERATIONS or values.boolean("help"):
        raise _bad(f"invalid txn request: {line}")
    # The transaction itself is what stdin holds, so that a put without value finds nothing there.
    console = replace(invocation.console, stdin=BytesIO())
    given = Words(arguments, values, console, invocation.clock)
    if found.command is GET:
        return RequestOp(request_range=range_request(given))
    if found.command is PUT:
        return RequestOp(request_put=put_request(given))
    return RequestOp(request_delete_range=delete_request(given))


def split_words(line: str) -> list[str]:
    """Words in the shell's manner: `"..."` with Go's escapes, `'...'` as it stands.

    Raises: CommandError.
    """
    words = []
    for match in _WORD.finditer(line):
        double, single, plain = match.groups()
        if double is None:
            words.append(plain if single is None else single)
            continue
        try:
            words.append(unquote(double))
        except ValueError as error:
            raise _bad(str(error)) from None
    return words


def _read(invocation: Invocation) -> TxnRequest:
    def prompt(text: str) -> None:
        if invocation.flags.boolean("interactive"):
            invocation.console.write(f"{text}\n")

    prompt("compares:")
    compares = tuple(parse_compare(line) for line in _block(invocation))
    prompt("success requests (get, put, del):")
    success = tuple(parse_operation(line, invocation) for line in _block(invocation))
    prompt("failure requests (get, put, del):")
    failure = tuple(parse_operation(line, invocation) for line in _block(invocation))
    return TxnRequest(compare=compares, success=success, failure=failure)


def _block(invocation: Invocation) -> Iterator[str]:
    """The lines up to the next empty one."""
    while line := to_text(invocation.console.stdin.readline()).strip():
        yield line


def _scan(text: str) -> tuple[str, str, str | None]:
    """Key, operator and operand as far as they can be read; the operand None where something is missing."""
    key_match = _KEY.match(text)
    if key_match is None:
        return "", "", None
    try:
        key = unquote(key_match.group(1))
    except ValueError:
        return "", "", None
    operator_match = _OPERATOR.match(text, key_match.end())
    if operator_match is None:
        return key, "", None
    operator = operator_match.group(1)
    operand_match = _OPERAND.match(text, operator_match.end())
    try:
        return key, operator, None if operand_match is None else unquote(operand_match.group(1))
    except ValueError:
        return key, operator, None


def _bad(text: str) -> CommandError:
    return CommandError(text, ExitCode.INVALID_INPUT)
