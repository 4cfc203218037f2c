"""Messages of etcd's KV service."""

from enum import StrEnum
from typing import Annotated, ClassVar

from raftgate.api.message import Int64, Message, OneofMessage, Request, UInt64, number, unknown


class SortOrder(StrEnum):
    """Direction in which a range is sorted; a member's position is its protobuf number."""

    NONE = "NONE"
    ASCEND = "ASCEND"
    DESCEND = "DESCEND"


class SortTarget(StrEnum):
    """What a range is sorted by; a member's position is its protobuf number."""

    KEY = "KEY"
    VERSION = "VERSION"
    CREATE = "CREATE"
    MOD = "MOD"
    VALUE = "VALUE"


class CompareResult(StrEnum):
    """The relation that a compare demands, the stored field on its left."""

    EQUAL = "EQUAL"
    GREATER = "GREATER"
    LESS = "LESS"
    NOT_EQUAL = "NOT_EQUAL"


class CompareTarget(StrEnum):
    """The stored field that a compare looks at."""

    VERSION = "VERSION"
    CREATE = "CREATE"
    MOD = "MOD"
    VALUE = "VALUE"
    LEASE = "LEASE"


class ResponseHeader(Message, frozen=True):
    """What nearly every answer opens with."""

    cluster_id: UInt64 = 0
    member_id: UInt64 = 0
    revision: Int64 = 0
    raft_term: UInt64 = 0


class KeyValue(Message, frozen=True):
    """One key as of one revision."""

    package: ClassVar[str] = "mvccpb"
    key: bytes = b""
    create_revision: Int64 = 0
    mod_revision: Int64 = 0
    version: Int64 = 0
    value: bytes = b""
    lease: Int64 = 0


class RangeResponse(Message, frozen=True):
    """The keys of a range; `count` ignores limit and filters."""

    header: ResponseHeader | None = None
    kvs: tuple[KeyValue, ...] = ()
    more: bool = False
    count: Int64 = 0


class RangeRequest(Request[RangeResponse], frozen=True):
    """Reads `[key, range_end)`; an int in the place of an enum is a number that etcd does not know."""

    key: bytes = b""
    range_end: bytes = b""
    limit: Int64 = 0
    revision: Int64 = 0
    sort_order: SortOrder | Annotated[int, unknown(3)] = SortOrder.NONE
    sort_target: SortTarget | Annotated[int, unknown(5)] = SortTarget.KEY
    serializable: bool = False
    keys_only: bool = False
    count_only: bool = False
    min_mod_revision: Int64 = 0
    max_mod_revision: Int64 = 0
    min_create_revision: Int64 = 0
    max_create_revision: Int64 = 0


class PutResponse(Message, frozen=True):
    """Answers a put; `header.revision` is the revision that it made."""

    header: ResponseHeader | None = None
    prev_kv: KeyValue | None = None


class PutRequest(Request[PutResponse], frozen=True):
    """Stores one key."""

    key: bytes = b""
    value: bytes = b""
    lease: Int64 = 0
    prev_kv: bool = False
    ignore_value: bool = False
    ignore_lease: bool = False


class DeleteRangeResponse(Message, frozen=True):
    """Says how many keys went, and which ones when asked."""

    header: ResponseHeader | None = None
    deleted: Int64 = 0
    prev_kvs: tuple[KeyValue, ...] = ()


class DeleteRangeRequest(Request[DeleteRangeResponse], frozen=True):
    """Deletes the keys of `[key, range_end)`."""

    key: bytes = b""
    range_end: bytes = b""
    prev_kv: bool = False


class ResponseOp(OneofMessage, frozen=True):
    """The answer to one operation of a transaction."""

    oneofs: ClassVar[dict[str, tuple[str, ...]]] = {
        "response": ("response_range", "response_put", "response_delete_range", "response_txn")
    }
    response_range: RangeResponse | None = None
    response_put: PutResponse | None = None
    response_delete_range: DeleteRangeResponse | None = None
    response_txn: "TxnResponse | None" = None


class TxnResponse(Message, frozen=True):
    """Says which branch ran, with an answer for each of its operations in order."""

    header: ResponseHeader | None = None
    succeeded: bool = False
    responses: tuple[ResponseOp, ...] = ()


class Compare(OneofMessage, frozen=True):
    """One condition of a transaction, on `key` or on every key of `[key, range_end)`."""

    oneofs: ClassVar[dict[str, tuple[str, ...]]] = {
        "target_union": ("version", "create_revision", "mod_revision", "value", "lease")
    }
    result: CompareResult | Annotated[int, unknown(4)] = CompareResult.EQUAL
    target: CompareTarget | Annotated[int, unknown(5)] = CompareTarget.VERSION
    key: bytes = b""
    version: Int64 | None = None
    create_revision: Int64 | None = None
    mod_revision: Int64 | None = None
    value: bytes | None = None
    lease: Int64 | None = None
    range_end: Annotated[bytes, number(64)] = b""


class RequestOp(OneofMessage, frozen=True):
    """One operation of a transaction."""

    oneofs: ClassVar[dict[str, tuple[str, ...]]] = {
        "request": ("request_range", "request_put", "request_delete_range", "request_txn")
    }
    request_range: RangeRequest | None = None
    request_put: PutRequest | None = None
    request_delete_range: DeleteRangeRequest | None = None
    request_txn: "TxnRequest | None" = None


class TxnRequest(Request[TxnResponse], frozen=True):
    """Runs `success` when all of `compare` hold, else `failure`."""

    compare: tuple[Compare, ...] = ()
    success: tuple[RequestOp, ...] = ()
    failure: tuple[RequestOp, ...] = ()


class CompactionResponse(Message, frozen=True):
    """Answers a compaction."""

    header: ResponseHeader | None = None


class CompactionRequest(Request[CompactionResponse], frozen=True):
    """Drops the history below `revision`."""

    revision: Int64 = 0
    physical: bool = False
