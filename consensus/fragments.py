"""Splitting of large watch responses between events, for clients that have asked for it (etcd v3rpc/watch.go)."""

from collections.abc import Iterator
from typing import Final

import msgspec

from raftgate.api.kv import KeyValue, ResponseHeader
from raftgate.api.watch import Event, WatchResponse

OVERHEAD: Final = 512 * 1024
"""Bytes beyond the largest request that a response may have: etcd server/config, grpcOverheadBytes."""


def fragments(response: WatchResponse, limit: int) -> Iterator[WatchResponse]:
    """The parts of a response, each but those of a single event below `limit` bytes; all but the last say so."""
    empty = _base_size(response)
    events: list[Event] = []
    size = empty
    for event in response.events:
        added = _delimited(_event_size(event))
        if events and size + added >= limit:
            yield msgspec.structs.replace(response, events=tuple(events), fragment=True)
            events, size = [], empty
        events.append(event)
        size += added
    yield msgspec.structs.replace(response, events=tuple(events))


def encoded_size(response: WatchResponse) -> int:
    """Bytes of a response in etcd's protobuf encoding."""
    return _base_size(response) + sum(_delimited(_event_size(event)) for event in response.events)


def _base_size(response: WatchResponse) -> int:
    """The size without events, as of a part that is not the last."""
    header = response.header or ResponseHeader()
    numbers = (header.cluster_id, header.member_id, header.revision, header.raft_term)
    return _delimited(sum(map(_number, numbers))) + _number(response.watch_id) + 2


def _event_size(event: Event) -> int:
    kvs = sum(_delimited(_kv_size(kv)) for kv in (event.kv, event.prev_kv) if kv is not None)
    return kvs if event.type == "PUT" else kvs + 2


def _kv_size(kv: KeyValue) -> int:
    contents = sum(_delimited(len(content)) for content in (kv.key, kv.value) if content)
    return contents + sum(map(_number, (kv.create_revision, kv.mod_revision, kv.version, kv.lease)))


def _delimited(size: int) -> int:
    """The size of a field that is `size` bytes long."""
    return 1 + _varint(size) + size


def _number(value: int) -> int:
    return 1 + _varint(value) if value else 0


def _varint(value: int) -> int:
    return 10 if value < 0 else max(1, (value.bit_length() + 6) // 7)
