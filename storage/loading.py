"""What the file holds of the state, read once at the start.

All rows pass by in the order of their ids, many at a time and, where every key of them is new, without any Python per
row: a start waits for this. Values beyond the budget are let go as they pass.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, Final

import msgspec
import sqlalchemy
from sqlalchemy import Connection, func, select

from raftgate.api.cluster import Member
from raftgate.api.kv import KeyValue
from raftgate.api.maintenance import AlarmMember, AlarmType
from storage import schema
from storage.history import TOMBSTONE, Codes, pack, pack_one
from storage.lease import Lease
from storage.members import Records
from storage.row import SUB_BITS, SUB_MASK, Row, Stub, key_value
from storage.schema import DatabaseRefused
from storage.values import OVERHEAD, SMALL

_FETCH: Final = 1_000  # rows fetched at once, fewer where they are large
_FETCHED_BYTES: Final = 4 << 20

_LET_GO: Final = bytes(bytearray(b"let go"))  # told by identity, in the place of a value

_key, _value = itemgetter(1), itemgetter(4)


@dataclass(frozen=True, slots=True)
class Content:
    """What the file holds of the state: all of it but the values that are too many, and those of the past."""

    applied_index: int
    revision: int
    compact_revision: int
    last_time: int
    """Milliseconds since 1970 of the newest row of times, or 0."""
    live: list[KeyValue]
    """Stubs among them, where the value is not in memory."""
    members: Records
    alarms: list[AlarmMember] = field(default_factory=list)
    finished_compact_revision: int = -1
    """Of the last compaction whose rows are all deleted."""
    codes: dict[bytes, Codes] = field(default_factory=dict)
    """As in `history.History`."""
    gone: list[bytes] = field(default_factory=list)
    """Keys that are not live but have rows."""
    leases: list[Lease] = field(default_factory=list)


def load(connection: Connection, size: int, budget: int) -> Content:
    """Reads everything; `size`: bytes of the file, `budget`: bytes of values that stay in memory.

    Raises: DatabaseRefused.
    """
    with connection.begin():
        meta = {row.name: row.value for row in connection.execute(select(schema.META))}
        removed = connection.execute(select(schema.REMOVED_MEMBERS.c.id)).scalars()
        version = divmod(meta.get("cluster_version", 0), schema.MINORS)
        members = Records(tuple(load_members(connection)), frozenset(int(each, 16) for each in removed), version)
        alarms = [
            AlarmMember(int(row.member_id, 16), AlarmType(row.alarm))
            for row in connection.execute(select(schema.ALARMS))
        ]
        leases = [Lease(*row) for row in connection.execute(select(schema.LEASES).order_by(schema.LEASES.c.id))]
        last_time = connection.execute(
            select(schema.TIMES.c.milliseconds).order_by(schema.TIMES.c.revision.desc()).limit(1)
        ).scalar_one_or_none()
        last_id = connection.execute(select(func.max(schema.HISTORY.c.id))).scalar_one()
        if last_id is not None and last_id >> SUB_BITS > meta["revision"]:
            raise DatabaseRefused(f"row {last_id} is beyond revision {meta['revision']}")
        rows = _Rows(budget if budget < size else None)
        cursor = connection.connection.cursor()
        cursor.execute(str(select(schema.HISTORY).order_by(schema.HISTORY.c.id)))
        count = _FETCH
        while chunk := cursor.fetchmany(count):
            rows.add(chunk)
            average = sum(map(len, map(_value, chunk))) // len(chunk)
            count = min(max(_FETCHED_BYTES // (average + 1), 1), _FETCH)
    live, gone = rows.finish()
    return Content(
        meta["applied_index"],
        meta["revision"],
        meta["compact_revision"],
        last_time or 0,
        live,
        members,
        alarms,
        meta["finished_compact_revision"],
        rows.codes,
        gone,
        leases,
    )


def load_members(connection: Connection) -> list[Member]:
    """Reads the member records."""
    return [_member(row) for row in connection.execute(select(schema.MEMBERS))]


class _Rows:
    """The newest row of each key, and which others it has."""

    def __init__(self, budget: int | None) -> None:
        """`budget`: bytes of values that stay in memory, None if they cannot be too many."""
        self._budget = budget
        self._size = 0
        # Of those whose values are in memory: bytes, the last row's id, the keys with values that count.
        self._chunks: deque[tuple[int, int, list[bytes]]] = deque()
        self._newest: dict[bytes, Row] = {}
        self.codes: dict[bytes, Codes] = {}

    def add(self, rows: Sequence[Row]) -> None:
        """Takes the next rows."""
        newest = self._newest
        fresh = dict(zip(map(_key, rows), rows, strict=True))
        if len(fresh) == len(rows) and newest.keys().isdisjoint(fresh):
            newest.update(fresh)
            self.codes.update(_first_codes(row) for row in rows if row[0] & SUB_MASK or not row[3])
        else:
            self._add(rows)
        if self._budget is not None:
            self._keep_budget(rows, self._budget)

    def finish(self) -> tuple[list[KeyValue], list[bytes]]:
        """The live keys, and those that are gone, in the order in which they first came; the rows are given up."""
        live, gone = [], []
        while self._newest:  # each row is let go of as its KeyValue is made: there may be millions
            key, row = self._newest.popitem()
            if row[3]:
                live.append(_live(key, row))
            else:
                gone.append(key)
        return live[::-1], gone[::-1]

    def _add(self, rows: Sequence[Row]) -> None:
        """Takes rows of keys that may have some already."""
        newest, all_codes = self._newest, self.codes
        for row in rows:
            row_id, key, version = row[0], row[1], row[3]
            before = newest.get(key)
            newest[key] = row
            if before is None:
                if row_id & SUB_MASK or not version:
                    all_codes.update((_first_codes(row),))
                continue
            codes = all_codes.get(key)
            code = row_id << 1 if version else row_id << 1 | TOMBSTONE
            if type(codes) is bytearray:
                codes += pack_one(code)
            else:  # under the first row's key object, so that each key is held once
                first = codes if isinstance(codes, int) else before[0] << 1
                all_codes[before[1]] = pack((first, code))

    def _keep_budget(self, rows: Sequence[Row], budget: int) -> None:
        keys = [row[1] for row in rows if len(row[4]) > SMALL]
        size = sum(map(len, map(_value, rows))) + OVERHEAD * len(keys)
        self._chunks.append((size, rows[-1][0], keys))
        self._size += size
        while self._size > budget:
            size, last_id, keys = self._chunks.popleft()
            self._size -= size
            for key in keys:
                row = self._newest[key]
                if row[0] <= last_id and len(row[4]) > SMALL:
                    self._newest[key] = (*row[:4], _LET_GO, row[5])


def _first_codes(row: Row) -> tuple[bytes, Codes]:
    """The entry of a key whose first row tells more than its revision."""
    return row[1], row[0] << 1 if row[3] else pack((row[0] << 1 | TOMBSTONE,))


def _live(key: bytes, row: Row) -> KeyValue:
    row_id, _, create_revision, version, value, lease = row
    if value is _LET_GO:
        return Stub(key, create_revision, row_id >> SUB_BITS, version, b"", lease, row_id & SUB_MASK)
    return key_value((row_id, key, create_revision, version, value, lease))


def _member(row: sqlalchemy.Row[Any]) -> Member:  # Any: columns of several types
    urls = (tuple(msgspec.json.decode(text, type=list[str])) for text in (row.peer_urls, row.client_urls))
    peer_urls, client_urls = urls
    return Member(int(row.id, 16), row.name, peer_urls, client_urls, row.is_learner)
