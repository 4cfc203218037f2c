"""The verbs `get`, `put` and `del`: arguments and flags made into requests, as etcdctl makes them.

The same functions read the operations of a transaction (`txn`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from raftgate.api.kv import DeleteRangeRequest, PutRequest, RangeRequest, SortOrder, SortTarget
from raftgate.ctl.client import connect
from raftgate.ctl.errors import CommandError, ExitCode
from raftgate.ctl.flags import Values
from raftgate.ctl.invocation import Clock, Console, Invocation
from raftgate.ctl.literals import parse_int
from raftgate.ctl.printers import Printer, printer
from raftgate.ctl.quoting import quote, to_bytes
from raftgate.ctl.settings import Settings

T = TypeVar("T")

FROM_KEY = b"\0"
"""As key: the first of all; as range end: no end."""

_DELETE_PAUSE = 2.0  # etcdctl 3.6 gives as long to interrupt
_ORDERS = {"": SortOrder.NONE, "ASCEND": SortOrder.ASCEND, "DESCEND": SortOrder.DESCEND}
_TARGETS = {
    "": SortTarget.KEY,
    "CREATE": SortTarget.CREATE,
    "KEY": SortTarget.KEY,
    "MODIFY": SortTarget.MOD,
    "VALUE": SortTarget.VALUE,
    "VERSION": SortTarget.VERSION,
}


@dataclass(frozen=True, slots=True)
class Words:
    """What stands behind a verb, on the command line or in a transaction."""

    arguments: Sequence[str]
    flags: Values
    console: Console
    clock: Clock


def get(invocation: Invocation) -> None:
    """Prints the pairs of a key or range."""
    request = range_request(_words(invocation))
    with connect(invocation) as client:
        output = _get_printer(invocation.flags, client.settings)
        invocation.console.write(output(client.call(request)))


def put(invocation: Invocation) -> None:
    """Stores a pair."""
    request = put_request(_words(invocation))
    if ignored := invocation.arguments[2:]:
        invocation.console.complain(f"Warning: put takes one value, ignored: {' '.join(ignored)}")
    with connect(invocation) as client:
        output = printer(client.settings.output, is_hex=client.settings.is_hex)
        invocation.console.write(output(client.call(request)))


def delete(invocation: Invocation) -> None:
    """Deletes a key or range and prints how many went."""
    request = delete_request(_words(invocation))
    with connect(invocation) as client:
        output = printer(client.settings.output, is_hex=client.settings.is_hex)
        invocation.console.write(output(client.call(request)))


def range_request(words: Words) -> RangeRequest:
    """The request of a `get`.

    Raises: CommandError.
    """
    flags = words.flags
    if not words.arguments:
        raise _bad("get command needs one argument as key and an optional argument as range_end")
    _check_exclusive(flags, "prefix", "from-key")
    _check_exclusive(flags, "keys-only", "count-only")
    consistency = flags.string("consistency")
    if consistency not in ("l", "s"):
        raise CommandError(f"unknown consistency flag {quote(to_bytes(consistency))}", ExitCode.BAD_FEATURE)
    key, range_end = _range(words)
    order = _chosen(flags.string("order"), _ORDERS, "bad sort order")
    target = _chosen(flags.string("sort-by"), _TARGETS, "bad sort target")
    if target is SortTarget.KEY and order is SortOrder.ASCEND:
        order = SortOrder.NONE  # the store's own order, in which a limit spares the rest (etcd client/v3/op.go)
    return RangeRequest(
        key=key,
        range_end=range_end,
        limit=flags.integer("limit"),
        revision=max(0, flags.integer("rev")),
        sort_order=order,
        sort_target=target,
        serializable=consistency == "s",
        keys_only=flags.boolean("keys-only"),
        count_only=flags.boolean("count-only"),
        **_revision_bounds(flags),
    )


def put_request(words: Words) -> PutRequest:
    """The request of a `put`; a value that is not an argument is read from stdin.

    Raises: CommandError.
    """
    flags = words.flags
    if not words.arguments:
        raise _no_value()
    ignore_value = flags.boolean("ignore-value")
    if ignore_value and len(words.arguments) > 1:
        raise _bad("put command needs only 1 argument when 'ignore-value' is set")
    value = b"" if ignore_value else _value(words)
    return PutRequest(
        key=to_bytes(words.arguments[0]),
        value=value,
        lease=_lease(flags.string("lease")),
        prev_kv=flags.boolean("prev-kv"),
        ignore_value=ignore_value,
        ignore_lease=flags.boolean("ignore-lease"),
    )


def delete_request(words: Words) -> DeleteRangeRequest:
    """The request of a `del`; a range without --range is announced, with time to interrupt.

    Raises: CommandError.
    """
    if len(words.arguments) not in (1, 2):
        raise _bad("del command needs one argument as key and an optional argument as range_end")
    _check_exclusive(words.flags, "prefix", "from-key")
    key, range_end = _range(words)
    if len(words.arguments) > 1 and not words.flags.boolean("range"):
        words.console.complain(
            f"Warning: Keys between {quote(key)} and {quote(range_end)} will be deleted. Please interrupt the command "
            "within next 2 seconds to cancel. You can provide `--range` flag to avoid the delay."
        )
        words.clock.sleep(_DELETE_PAUSE)
    return DeleteRangeRequest(key=key, range_end=range_end, prev_kv=words.flags.boolean("prev-kv"))


def prefix_end(prefix: bytes) -> bytes:
    """The end of the range of all keys with a prefix (etcd client/v3/op.go)."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else FROM_KEY


def _words(invocation: Invocation) -> Words:
    return Words(invocation.arguments, invocation.flags, invocation.console, invocation.clock)


def _range(words: Words) -> tuple[bytes, bytes]:
    key = to_bytes(words.arguments[0])
    prefix, from_key = words.flags.boolean("prefix"), words.flags.boolean("from-key")
    if len(words.arguments) > 1:
        if prefix or from_key:
            raise _bad("too many arguments, only accept one argument when `--prefix` or `--from-key` is set")
        return key, to_bytes(words.arguments[1])
    if prefix and key:
        return key, prefix_end(key)
    if prefix or from_key:
        return key or FROM_KEY, FROM_KEY
    return key, b""


def _revision_bounds(flags: Values) -> dict[str, int]:
    bounds: dict[str, int] = {}
    for kind in ("create", "mod"):
        low, high = (max(0, flags.integer(f"{side}-{kind}-rev")) for side in ("min", "max"))
        if 0 < high < low:
            text = f"--min-{kind}-rev(={low}) > --max-{kind}-rev(={high})"
            raise CommandError(text, ExitCode.BAD_FEATURE)
        bounds |= {f"min_{kind}_revision": low, f"max_{kind}_revision": high}
    return bounds


def _chosen(text: str, choices: dict[str, T], complaint: str) -> T:
    choice = choices.get(text.upper())
    if choice is None:
        raise CommandError(f"{complaint} {text}", ExitCode.BAD_FEATURE)
    return choice


def _value(words: Words) -> bytes:
    if len(words.arguments) > 1:
        return to_bytes(words.arguments[1])
    value = words.console.stdin.read()
    if not value:
        raise _no_value()
    return value


def _lease(text: str) -> int:
    try:
        return parse_int(text, 16)
    except ValueError as error:
        raise _bad(f"bad lease ID ({error}), expecting ID in Hex") from None


def _get_printer(flags: Values, chosen: Settings) -> Printer:
    values_only = flags.boolean("print-value-only")
    if flags.boolean("count-only") and chosen.output != "fields":
        raise _bad("--count-only is only for `--write-out=fields`")
    if values_only and chosen.output != "simple":
        raise _bad("print-value-only is only for `--write-out=simple`")
    return printer(chosen.output, is_hex=chosen.is_hex, values_only=values_only)


def _check_exclusive(flags: Values, one: str, other: str) -> None:
    if flags.boolean(one) and flags.boolean(other):
        raise _bad(f"`--{one}` and `--{other}` cannot be set at the same time, choose one")


def _no_value() -> CommandError:
    return _bad("put command needs 1 argument and input from stdin or 2 arguments")


def _bad(text: str) -> CommandError:
    return CommandError(text, ExitCode.BAD_ARGS)
