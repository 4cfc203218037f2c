"""What a command will need of SQLite: it is tried out, taken back, and told what it lacked.

So that apply itself runs without any IO. Values that are compared come first, since they decide what else is needed:
one asks again until nothing is missing.
"""

from collections.abc import Callable, Iterable
from typing import Any

from raftgate.api.errors import EtcdError
from raftgate.api.kv import CompareTarget, DeleteRangeRequest, KeyValue, PutRequest, RequestOp, SortTarget, TxnRequest
from raftgate.api.message import Request
from storage.kv import Kv, NotInMemory
from storage.reader import Readers
from storage.row import Stub


class Missing:
    """Rows that a command needs, and memory lacks."""

    def __init__(self, readers: Readers, stubs: Iterable[Stub]) -> None:
        self._readers = readers
        self._stubs = {stub.row_id: stub for stub in stubs}
        self.found: dict[int, KeyValue] = {}
        """What was read: row id -> KeyValue."""

    def run(self) -> None:
        """Reads the rows, in a reader's thread."""
        kvs = self._readers.load(list(self._stubs.values()), values=True)
        self.found = dict(zip(self._stubs, kvs, strict=True))


def may_lack(kv: Kv, request: Request[Any] | None) -> bool:  # Any: whatever answers it
    """Whether a command could need anything of SQLite: a look at the request alone, for most."""
    evicted = kv.values.evicted
    if isinstance(request, PutRequest):
        return bool(evicted) and (request.prev_kv or request.ignore_value)
    if isinstance(request, TxnRequest):
        return reads_past(request, kv.revision) or (bool(evicted) and _needs_values(request))
    return bool(evicted) and isinstance(request, DeleteRangeRequest) and request.prev_kv


def try_out(kv: Kv, handler: Callable[[Any], object], request: Request[Any]) -> list[Stub]:  # Any: as above
    """Runs a command and takes it back; answers what it lacked."""
    counts = kv.metrics.counts()
    wanted: list[Stub] = []
    kv.wanted = wanted
    try:
        handler(request)
    except (EtcdError, NotInMemory):
        pass  # it is answered when the command is applied
    finally:
        kv.wanted = None
        kv.rollback()
        kv.metrics.reset(counts)
    return wanted


def _operations(request: TxnRequest) -> Iterable[RequestOp]:
    return (*request.success, *request.failure)


def reads_past(request: TxnRequest, revision: int) -> bool:
    """Whether a range anywhere in a transaction asks for a revision below the current one."""
    for op in _operations(request):
        if op.request_range is not None and 0 < op.request_range.revision < revision:
            return True
        if op.request_txn is not None and reads_past(op.request_txn, revision):
            return True
    return False


def _needs_values(request: TxnRequest) -> bool:
    """Whether anything in a transaction looks at values, or answers them."""
    if any(compare.target is CompareTarget.VALUE for compare in request.compare):
        return True
    for op in _operations(request):
        ranged, put, delete = op.request_range, op.request_put, op.request_delete_range
        if ranged is not None and (not ranged.keys_only or ranged.sort_target is SortTarget.VALUE):
            return True
        if put is not None and (put.prev_kv or put.ignore_value):
            return True
        if delete is not None and delete.prev_kv:
            return True
        if op.request_txn is not None and _needs_values(op.request_txn):
            return True
    return False
