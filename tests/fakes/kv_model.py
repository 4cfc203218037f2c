"""A naive model of etcd's keys and leases, to hold the real store against, and hypothesis strategies for its requests.

It copies the whole state for every step, sorts everything, and shares no code with storage.
"""

from dataclasses import dataclass, field

import msgspec
from hypothesis import strategies as st

from raftgate.api.kv import (
    CompactionRequest,
    CompactionResponse,
    Compare,
    CompareResult,
    CompareTarget,
    DeleteRangeRequest,
    DeleteRangeResponse,
    KeyValue,
    PutRequest,
    PutResponse,
    RangeRequest,
    RangeResponse,
    RequestOp,
    ResponseHeader,
    ResponseOp,
    SortOrder,
    SortTarget,
    TxnRequest,
    TxnResponse,
)
from raftgate.api.lease import (
    LeaseCheckpoint,
    LeaseCheckpointRequest,
    LeaseCheckpointResponse,
    LeaseGrantRequest,
    LeaseGrantResponse,
    LeaseRevokeRequest,
    LeaseRevokeResponse,
)

State = dict[bytes, KeyValue]
Write = PutRequest | DeleteRangeRequest | TxnRequest
LeaseWrite = LeaseGrantRequest | LeaseRevokeRequest | LeaseCheckpointRequest
Answer = (
    PutResponse
    | DeleteRangeResponse
    | TxnResponse
    | CompactionResponse
    | LeaseGrantResponse
    | LeaseRevokeResponse
    | LeaseCheckpointResponse
)


class Refused(Exception):
    """A request that fails; the argument is the name of the error's class."""


@dataclass
class Model:
    """The history as one whole state for each revision."""

    states: list[State] = field(default_factory=lambda: [{}])  # of revision 1, 2, ...
    now: State = field(default_factory=dict)
    events: list[tuple[int, bytes, int]] = field(default_factory=list)  # revision, key, version
    changed: bool = False
    compacted: int = -1
    leases: dict[int, tuple[int, int]] = field(default_factory=dict)  # id -> TTL, noted rest

    @property
    def revision(self) -> int:
        return len(self.states)

    @property
    def seen(self) -> int:
        return self.revision + self.changed

    def apply(self, request: Write | CompactionRequest | LeaseWrite) -> Answer | str:
        """The answer, or the name of the error."""
        events = len(self.events)
        try:
            answer = self._apply(request)
        except Refused as refused:
            self.now, self.changed = dict(self.states[-1]), False
            del self.events[events:]
            return str(refused)
        if self.changed:
            self.states.append(dict(self.now))
            self.changed = False
        return answer

    def _apply(self, request: Write | CompactionRequest | LeaseWrite) -> Answer:
        if isinstance(request, LeaseGrantRequest | LeaseRevokeRequest | LeaseCheckpointRequest):
            return self.lease(request)
        if isinstance(request, CompactionRequest):
            return self.compact(request.revision)
        if isinstance(request, PutRequest):
            if request.lease and request.lease not in self.leases:
                raise Refused("LeaseNotFound")
            return self.put(request)
        if isinstance(request, DeleteRangeRequest):
            return self.delete(request)
        self.precheck(request, puts=True)
        self.precheck(request, puts=False)
        return self.txn(request, ResponseHeader(revision=0))

    def read(self, request: RangeRequest) -> RangeResponse | str:
        """The answer to a range by itself, or the name of the error."""
        if request.revision > self.revision:
            return "FutureRev"
        if 0 < request.revision < self.compacted:
            return "Compacted"
        return self.range(request)

    def compact(self, revision: int) -> CompactionResponse:
        if revision <= self.compacted:
            raise Refused("Compacted")
        if revision > self.revision:
            raise Refused("FutureRev")
        self.compacted = revision
        return CompactionResponse(ResponseHeader(revision=self.revision))

    def rows(self) -> list[tuple[int, bytes, int]]:
        """The changes that a finished compaction keeps: revision, key, version."""
        newest = {key: n for n, (revision, key, _) in enumerate(self.events) if revision <= self.compacted}
        return [
            (revision, key, version)
            for n, (revision, key, version) in enumerate(self.events)
            if revision > self.compacted or (newest[key] == n and (version or revision == self.compacted))
        ]

    def within(self, state: State, key: bytes, end: bytes) -> list[KeyValue]:
        if not end:
            return [state[key]] if key in state else []
        return [state[k] for k in sorted(state) if k >= key and (end == b"\0" or k < end)]

    def range(self, request: RangeRequest) -> RangeResponse:
        state = self.states[request.revision - 1] if request.revision > 0 else self.now
        kvs = self.within(state, request.key, request.range_end)
        header, count = ResponseHeader(revision=self.seen), len(kvs)
        if request.count_only:
            return RangeResponse(header, count=count)
        filters = (
            request.max_mod_revision,
            request.min_mod_revision,
            request.max_create_revision,
            request.min_create_revision,
        )
        if request.sort_order == SortOrder.NONE and not any(filters) and request.limit > 0:
            kvs = kvs[: request.limit + 1]
        kvs = [
            kv
            for kv in kvs
            if (not filters[0] or kv.mod_revision <= filters[0])
            and (not filters[1] or kv.mod_revision >= filters[1])
            and (not filters[2] or kv.create_revision <= filters[2])
            and (not filters[3] or kv.create_revision >= filters[3])
        ]
        names = {
            "KEY": "key",
            "VERSION": "version",
            "CREATE": "create_revision",
            "MOD": "mod_revision",
            "VALUE": "value",
        }
        name = names[str(request.sort_target)]
        if request.sort_order == SortOrder.DESCEND:  # from the greatest value down, keys ascending among equals
            values = sorted({getattr(kv, name) for kv in kvs})[::-1]
            kvs = [kv for value in values for kv in kvs if getattr(kv, name) == value]
        else:
            kvs = sorted(kvs, key=lambda kv: (getattr(kv, name), kv.key))
        more = 0 < request.limit < len(kvs)
        if more:
            kvs = kvs[: request.limit]
        if request.keys_only:
            kvs = [KeyValue(kv.key, kv.create_revision, kv.mod_revision, kv.version, lease=kv.lease) for kv in kvs]
        return RangeResponse(header, tuple(kvs), more, count)

    def put(self, request: PutRequest) -> PutResponse:
        old = self.now.get(request.key)
        if old is None and (request.ignore_value or request.ignore_lease):
            raise Refused("KeyNotFound")
        value = old.value if old and request.ignore_value else request.value
        revision = self.revision + 1
        created, version = (old.create_revision, old.version + 1) if old else (revision, 1)
        lease = old.lease if old and request.ignore_lease else request.lease
        self.now = {**self.now, request.key: KeyValue(request.key, created, revision, version, value, lease)}
        self.events.append((revision, request.key, version))
        self.changed = True
        return PutResponse(ResponseHeader(revision=revision), old if request.prev_kv else None)

    def delete(self, request: DeleteRangeRequest) -> DeleteRangeResponse:
        gone = self.within(self.now, request.key, request.range_end)
        self.now = {key: kv for key, kv in self.now.items() if kv not in gone}
        self.events.extend((self.revision + 1, kv.key, 0) for kv in gone)
        self.changed = self.changed or bool(gone)
        return DeleteRangeResponse(
            ResponseHeader(revision=self.seen), len(gone), tuple(gone) if request.prev_kv else ()
        )

    def attached(self, lease: int) -> list[bytes]:
        return [key for key in sorted(self.now) if self.now[key].lease == lease]

    def lease(self, request: LeaseWrite) -> LeaseGrantResponse | LeaseRevokeResponse | LeaseCheckpointResponse:
        header = ResponseHeader(revision=self.revision)
        if isinstance(request, LeaseCheckpointRequest):
            for each in request.checkpoints:
                if each.ID in self.leases:
                    ttl = self.leases[each.ID][0]
                    self.leases[each.ID] = ttl, each.remaining_TTL if 0 < each.remaining_TTL < ttl else 0
            return LeaseCheckpointResponse(header)
        if isinstance(request, LeaseGrantRequest):
            if request.ID in self.leases:
                raise Refused("LeaseExist")
            self.leases[request.ID] = request.TTL, 0
            return LeaseGrantResponse(header, request.ID, request.TTL)
        if request.ID not in self.leases:
            raise Refused("LeaseNotFound")
        for key in self.attached(request.ID):
            self.delete(DeleteRangeRequest(key))
        del self.leases[request.ID]
        return LeaseRevokeResponse(ResponseHeader(revision=self.seen))

    def branch(self, request: TxnRequest) -> tuple[bool, tuple[RequestOp, ...]]:
        holds = all(self.holds(compare) for compare in request.compare)
        return holds, request.success if holds else request.failure

    def holds(self, compare: Compare) -> bool:
        fields = {
            "VERSION": "version",
            "CREATE": "create_revision",
            "MOD": "mod_revision",
            "VALUE": "value",
            "LEASE": "lease",
        }
        kvs = self.within(self.states[-1], compare.key, compare.range_end)
        if not kvs and compare.target == "VALUE":
            return False
        for kv in kvs or [KeyValue()]:
            stored = given = None
            if isinstance(compare.target, str):
                name = fields[compare.target]
                stored = getattr(kv, name)
                given = getattr(compare, name)
                given = (b"" if name == "value" else 0) if given is None else given
            outcome = {
                "EQUAL": stored == given,
                "NOT_EQUAL": stored != given,
                "GREATER": stored is not None and stored > given,
                "LESS": stored is not None and stored < given,
            }
            if isinstance(compare.result, str) and not outcome[compare.result]:
                return False
        return True

    def precheck(self, request: TxnRequest, *, puts: bool) -> None:
        before = self.states[-1]
        for op in self.branch(request)[1]:
            if op.request_txn:
                self.precheck(op.request_txn, puts=puts)
            if puts and op.request_put:
                put = op.request_put
                if (put.ignore_value or put.ignore_lease) and put.key not in before:
                    raise Refused("KeyNotFound")
                if put.lease and put.lease not in self.leases:
                    raise Refused("LeaseNotFound")
            if not puts and op.request_range:
                if op.request_range.revision > self.revision:
                    raise Refused("FutureRev")
                if op.request_range.revision and op.request_range.revision < self.compacted:
                    raise Refused("Compacted")

    def txn(self, request: TxnRequest, header: ResponseHeader | None = None) -> TxnResponse:
        succeeded, ops = self.branch(request)
        responses = []
        for op in ops:
            if op.request_put:
                responses.append(ResponseOp(response_put=self.put(op.request_put)))
            elif op.request_range:
                responses.append(ResponseOp(response_range=self.range(op.request_range)))
            elif op.request_delete_range:
                responses.append(ResponseOp(response_delete_range=self.delete(op.request_delete_range)))
            elif op.request_txn:
                responses.append(ResponseOp(response_txn=self.txn(op.request_txn)))
        header = ResponseHeader(revision=self.seen) if header else ResponseHeader()
        return TxnResponse(header, succeeded, tuple(responses))


KEYS = st.sampled_from([b"\0", b"a", b"ab", b"b", b"c", b"\xff"])
ENDS = st.sampled_from([b"", b"", b"", b"\0", b"\0\0", b"a", b"b", b"c", b"\xff"])
VALUES = st.sampled_from([b"", b"0", b"1", b"\xff", b"0" * 40, b"1" * 60])
NUMBERS = st.integers(-2, 12)
LIMITS = st.sampled_from([0, 0, 1, 2, 3, -1, 2**63 - 1])

RANGES = st.builds(
    RangeRequest,
    key=KEYS,
    range_end=ENDS,
    limit=LIMITS,
    sort_order=st.sampled_from(SortOrder),
    sort_target=st.sampled_from(SortTarget),
    keys_only=st.booleans(),
    count_only=st.sampled_from([False, False, False, True]),
    min_mod_revision=st.just(0) | NUMBERS,
    max_mod_revision=st.just(0) | NUMBERS,
    min_create_revision=st.just(0) | NUMBERS,
    max_create_revision=st.just(0) | NUMBERS,
)
READS = st.builds(
    lambda request, revision: msgspec.structs.replace(request, revision=revision), RANGES, st.just(0) | NUMBERS
)
TXN_RANGES = st.builds(
    RangeRequest, key=KEYS, range_end=ENDS, limit=LIMITS, revision=st.just(0) | NUMBERS, count_only=st.booleans()
)
PUTS = st.builds(
    PutRequest,
    key=KEYS,
    value=VALUES,
    lease=st.sampled_from([0, 0, 0, 0, 7, 7, -8]),
    prev_kv=st.booleans(),
) | st.builds(PutRequest, key=KEYS, ignore_value=st.booleans(), ignore_lease=st.booleans(), prev_kv=st.booleans())
LEASE_IDS = st.sampled_from([7, -8])
GRANTS = st.builds(LeaseGrantRequest, ID=LEASE_IDS, TTL=st.integers(1, 90))
REVOKES = st.builds(LeaseRevokeRequest, ID=LEASE_IDS)
NOTES = st.builds(
    LeaseCheckpointRequest,
    st.lists(st.builds(LeaseCheckpoint, ID=LEASE_IDS, remaining_TTL=st.integers(-1, 91)), max_size=3).map(tuple),
)
DELETES = st.builds(DeleteRangeRequest, key=KEYS, range_end=ENDS, prev_kv=st.booleans())
TARGETS = st.sampled_from([*CompareTarget, 99])
RESULTS = st.sampled_from([*CompareResult, 99])
COMPARES = (
    st.builds(Compare, result=RESULTS, target=TARGETS, key=KEYS, range_end=ENDS)
    | st.builds(Compare, result=RESULTS, target=TARGETS, key=KEYS, range_end=ENDS, value=VALUES)
    | st.builds(Compare, result=RESULTS, target=TARGETS, key=KEYS, range_end=ENDS, version=NUMBERS)
    | st.builds(Compare, result=RESULTS, target=TARGETS, key=KEYS, range_end=ENDS, mod_revision=NUMBERS)
    | st.builds(Compare, result=RESULTS, target=TARGETS, key=KEYS, range_end=ENDS, create_revision=NUMBERS)
)


def _txns(ops: st.SearchStrategy[RequestOp]) -> st.SearchStrategy[TxnRequest]:
    lists = st.lists(ops, max_size=4).map(tuple)
    return st.builds(TxnRequest, compare=st.lists(COMPARES, max_size=2).map(tuple), success=lists, failure=lists)


OPS = st.recursive(
    st.builds(RequestOp, request_put=PUTS)
    | st.builds(RequestOp, request_range=TXN_RANGES)
    | st.builds(RequestOp, request_delete_range=DELETES),
    lambda ops: st.builds(RequestOp, request_txn=_txns(ops)),
    max_leaves=8,
)
TXNS = _txns(OPS)
WRITES = PUTS | DELETES | TXNS
READ_TXNS = st.builds(
    TxnRequest,
    compare=st.lists(COMPARES, max_size=2).map(tuple),
    success=st.lists(st.builds(RequestOp, request_range=READS), max_size=3).map(tuple),
    failure=st.lists(st.builds(RequestOp, request_range=READS), max_size=3).map(tuple),
)
