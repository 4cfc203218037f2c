"""The requests of KV and Maintenance in short form: keys and values are bytes, other fields go by their names."""

from collections.abc import Mapping, Sequence

from tests.e2e.case import Step

Op = Mapping[str, object]

RANGE = "/v3/kv/range"
PUT = "/v3/kv/put"
DELETE_RANGE = "/v3/kv/deleterange"
TXN = "/v3/kv/txn"
COMPACTION = "/v3/kv/compaction"
ALARM = "/v3/maintenance/alarm"
STATUS = "/v3/maintenance/status"
DEFRAGMENT = "/v3/maintenance/defragment"
HASH = "/v3/maintenance/hash"
HASHKV = "/v3/maintenance/hashkv"
TRANSFER = "/v3/maintenance/transfer-leadership"
MEMBERS = "/v3/cluster/member/list"
MEMBER_ADD = "/v3/cluster/member/add"
MEMBER_REMOVE = "/v3/cluster/member/remove"
MEMBER_UPDATE = "/v3/cluster/member/update"
MEMBER_PROMOTE = "/v3/cluster/member/promote"
LEASES = "/v3/lease/leases"
REVOKE = "/v3/lease/revoke"

# A range that ends with this byte has no end; one that starts with it as well is the whole store.
END = b"\0"


def post(path: str, body: bytes | Mapping[str, object] | None = b"{}") -> Step:
    """Send a body to a path."""
    return Step("POST", path, body)


def get(key: bytes, range_end: bytes | None = None, **fields: object) -> Step:
    """Read a key or a range."""
    return post(RANGE, _range(key, range_end, fields))


def get_all(**fields: object) -> Step:
    """Read the whole store."""
    return get(END, END, **fields)


def put(key: bytes, value: bytes | None = None, **fields: object) -> Step:
    """Store a key; without a value the field is absent."""
    return post(PUT, _put(key, value, fields))


def delete(key: bytes, range_end: bytes | None = None, **fields: object) -> Step:
    """Delete a key or a range."""
    return post(DELETE_RANGE, _range(key, range_end, fields))


def txn(
    compare: Sequence[Op] | None = None, success: Sequence[Op] | None = None, failure: Sequence[Op] | None = None
) -> Step:
    """Run a transaction; parts that are not given are absent."""
    return post(TXN, _txn(compare, success, failure))


def compact(revision: object, **fields: object) -> Step:
    """Compact the history below a revision."""
    return post(COMPACTION, {"revision": revision, **fields})


def alarm(action: object, kind: object = None, member: object = None) -> Step:
    """List, raise or take back alarms; what is None is absent."""
    return post(ALARM, _given(action=action, alarm=kind, memberID=member))


def op_get(key: bytes, range_end: bytes | None = None, **fields: object) -> Op:
    """Read inside a transaction."""
    return {"request_range": _range(key, range_end, fields)}


def op_put(key: bytes, value: bytes | None = None, **fields: object) -> Op:
    """Store inside a transaction."""
    return {"request_put": _put(key, value, fields)}


def op_delete(key: bytes, range_end: bytes | None = None, **fields: object) -> Op:
    """Delete inside a transaction."""
    return {"request_delete_range": _range(key, range_end, fields)}


def op_txn(
    compare: Sequence[Op] | None = None, success: Sequence[Op] | None = None, failure: Sequence[Op] | None = None
) -> Op:
    """Nest a transaction."""
    return {"request_txn": _txn(compare, success, failure)}


def check(key: bytes, target: object = None, result: object = None, **fields: object) -> Op:
    """Compare a stored field with a given one; what is None is absent."""
    return {"key": key, **_given(target=target, result=result), **fields}


def _range(key: bytes, range_end: bytes | None, fields: Op) -> Op:
    return {"key": key, **_given(range_end=range_end), **fields}


def _put(key: bytes, value: bytes | None, fields: Op) -> Op:
    return {"key": key, **_given(value=value), **fields}


def _txn(compare: Sequence[Op] | None, success: Sequence[Op] | None, failure: Sequence[Op] | None) -> Op:
    return _given(compare=compare, success=success, failure=failure)


def _given(**fields: object) -> Op:
    return {name: value for name, value in fields.items() if value is not None}
