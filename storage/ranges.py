"""What a range answers of the keys that it has found: filters, order, limit, in etcd's order of evaluation.

Pure functions; which keys there are is found in `kv.py` and `gathering.py` (etcd server/etcdserver/txn/range.go).
"""

from collections.abc import Callable
from heapq import merge
from operator import attrgetter
from typing import Any, Final

from raftgate.api.kv import KeyValue, RangeRequest, RangeResponse, ResponseHeader, SortOrder, SortTarget
from storage.row import Load

SORTED_AT_ONCE: Final = 10_000
"""Keys that are sorted in one call, which no other thread can interrupt."""

_FIELDS: dict[SortTarget, Callable[[KeyValue], Any]] = {  # Any: int or bytes, by field
    SortTarget.VERSION: attrgetter("version"),
    SortTarget.CREATE: attrgetter("create_revision"),
    SortTarget.MOD: attrgetter("mod_revision"),
    SortTarget.VALUE: attrgetter("value"),
}


def answer(
    request: RangeRequest, header: ResponseHeader, kvs: list[KeyValue], count: int, load: Load | None
) -> RangeResponse:
    """Answers from the keys in their order; `load` replaces stubs, None if there are none."""
    if request.count_only or not kvs:
        return RangeResponse(header, count=count)
    if load is not None and looks_inside(request):
        kvs = load(kvs, values=request.sort_target is SortTarget.VALUE)
    kvs = _sorted(request, _filtered(request, kvs))
    more = 0 < request.limit < len(kvs)
    if more:
        kvs = kvs[: request.limit]
    if load is not None:
        kvs = load(kvs, values=not request.keys_only)
    if request.keys_only:
        kvs = [KeyValue(kv.key, kv.create_revision, kv.mod_revision, kv.version, b"", kv.lease) for kv in kvs]
    return RangeResponse(header, tuple(kvs), more, count)


def cuts_early(request: RangeRequest) -> bool:
    """Whether only the first limit + 1 keys are looked at, before any sorting (etcd's oddity)."""
    return request.limit > 0 and request.sort_order is SortOrder.NONE and not _has_filter(request)


def looks_inside(request: RangeRequest) -> bool:
    """Whether more than the keys decides what is answered."""
    return request.sort_target is not SortTarget.KEY or _has_filter(request)


def _has_filter(request: RangeRequest) -> bool:
    return bool(
        request.min_mod_revision
        or request.max_mod_revision
        or request.min_create_revision
        or request.max_create_revision
    )


def _filtered(request: RangeRequest, kvs: list[KeyValue]) -> list[KeyValue]:
    if not _has_filter(request):
        return kvs
    if request.max_mod_revision:
        kvs = [kv for kv in kvs if kv.mod_revision <= request.max_mod_revision]
    if request.min_mod_revision:
        kvs = [kv for kv in kvs if kv.mod_revision >= request.min_mod_revision]
    if request.max_create_revision:
        kvs = [kv for kv in kvs if kv.create_revision <= request.max_create_revision]
    if request.min_create_revision:
        kvs = [kv for kv in kvs if kv.create_revision >= request.min_create_revision]
    return kvs


def _sorted(request: RangeRequest, kvs: list[KeyValue]) -> list[KeyValue]:
    """Sorts what comes in key order; equals stay in key order both ways."""
    order, target = request.sort_order, request.sort_target
    if target is SortTarget.KEY:
        return kvs[::-1] if order is SortOrder.DESCEND else kvs
    field = _FIELDS.get(target) if isinstance(target, SortTarget) else None
    if field is None:
        return kvs
    falls = order is SortOrder.DESCEND
    starts = range(0, len(kvs), SORTED_AT_ONCE)
    runs = [sorted(kvs[start : start + SORTED_AT_ONCE], key=field, reverse=falls) for start in starts]
    return runs[0] if len(runs) == 1 else list(merge(*runs, key=field, reverse=falls))
