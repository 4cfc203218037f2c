from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from raftgate.api.kv import PutRequest, RangeRequest
from raftgate.api.lease import LeaseGrantRequest
from storage.database import StoreExchanged
from storage.metrics import Metrics
from storage.opening import Opened
from storage.options import Options
from storage.schema import DatabaseRefused
from tests.fakes.storage import apply, flush, open_machine, read

ALL = RangeRequest(b"\0", b"\0")


def opened(path: Path, **options: int) -> Opened:
    return Opened.open(path, Options(fsync=False, **options), Metrics(CollectorRegistry()))


def test_a_new_store_is_empty(tmp_path: Path) -> None:
    store = opened(tmp_path / "kv.db")
    assert (store.content.applied_index, store.kv.revision, len(store.kv.index)) == (0, 1, 0)
    store.close()


def test_what_was_written_is_loaded(tmp_path: Path) -> None:
    machine = open_machine(tmp_path)
    apply(machine, LeaseGrantRequest(10, ID=5))
    for number in range(100):
        apply(machine, PutRequest(b"k%d" % number, bytes(100), lease=5))
    flush(machine)
    expected = read(machine, ALL)
    machine.close()
    store = opened(tmp_path / "kv.db", value_cache_bytes=1000)
    assert len(store.kv.index) == 100
    assert store.kv.leases.count(5) == 100
    assert store.kv.values.evicted > 0
    assert tuple(store.readers.load(store.kv.index.range(b"\0", b"\0"), values=True)) == expected.kvs
    store.close()
    with pytest.raises(StoreExchanged):
        store.database.connect()
    with pytest.raises(StoreExchanged), store.readers.connection():
        pass


def test_what_is_no_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kv.db").write_bytes(b"nothing of the kind" * 100)
    with pytest.raises(DatabaseRefused):
        opened(tmp_path / "kv.db")
