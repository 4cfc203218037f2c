import random
from pathlib import Path

import pytest

from consensus.data_dir import SYNC_BYTES, DataDir, DataDirInvalid, Stores, began_with
from consensus.disk import OsDisk
from consensus.raft.types import SnapshotMeta
from tests.fakes.disk import FakeDisk

META = SnapshotMeta(index=0x1F, term=3)
MEMBER = Path("/member")


def data_dir(path: Path, wal: Path | None = None) -> DataDir:
    found = DataDir(OsDisk(), path, wal)
    found.prepare()
    return found


def test_a_fresh_directory(tmp_path: Path) -> None:
    found = data_dir(tmp_path)
    assert found.database() == tmp_path / "member" / f"kv-{0:016x}-{0:016x}.db"
    assert found.wal_directory == tmp_path / "member" / "wal"
    assert (tmp_path / "member").stat().st_mode & 0o777 == 0o700
    assert sorted(path.name for path in (tmp_path / "member").iterdir()) == ["CURRENT"]


def test_the_store_in_use_is_kept_in_current(tmp_path: Path) -> None:
    data_dir(tmp_path).stores.use(META)
    assert data_dir(tmp_path).database().name == "kv-0000000000000003-000000000000001f.db"


def test_a_log_elsewhere(tmp_path: Path) -> None:
    elsewhere = tmp_path / "fast" / "wal"
    assert data_dir(tmp_path, elsewhere).wal_directory == elsewhere
    assert elsewhere.parent.is_dir()


@pytest.mark.parametrize("name", ["", "../kv-1.db", "store.db", "kv-1.db-wal", "kv-1.db"])
def test_a_current_that_names_no_store_is_refused(tmp_path: Path, name: str) -> None:
    found = data_dir(tmp_path)
    (tmp_path / "member" / "CURRENT").write_text(name)
    with pytest.raises(DataDirInvalid):
        found.database()


def test_wide_permissions_are_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    assert data_dir(tmp_path).is_open_to_others()
    tmp_path.chmod(0o700)
    assert not data_dir(tmp_path).is_open_to_others()


def test_a_lost_current_is_not_made_anew_over_stores(tmp_path: Path) -> None:
    found = data_dir(tmp_path)
    found.stores.path(META).touch()
    with pytest.raises(DataDirInvalid, match="is missing, but there are stores: kv-0000000000000003"):
        found.database()


def test_a_store_tells_what_it_began_with() -> None:
    assert began_with(Stores(FakeDisk({MEMBER: None}), MEMBER).path(META)) == META
    assert began_with(Path("/kv.db")) == SnapshotMeta()


def test_what_a_stop_has_left_is_removed(tmp_path: Path) -> None:
    found = data_dir(tmp_path)
    current = found.database()
    kept = [current.name, f"{current.name}-wal", f"{current.name}-shm", "CURRENT", "notes.txt"]
    other = found.stores.path(META).name
    for name in (*kept, other, f"{other}-wal", f"{other}-shm", f"{other}.1.tmp", "CURRENT.tmp", "copy.2.tmp"):
        (current.parent / name).touch()
    (current.parent / "CURRENT").write_text(current.name)
    assert found.database() == current
    assert sorted(path.name for path in current.parent.iterdir()) == sorted(kept)


def test_a_store_goes_with_what_sqlite_keeps_beside_it(tmp_path: Path) -> None:
    stores = data_dir(tmp_path).stores
    path = stores.path(META)
    for suffix in ("", "-wal"):
        path.with_name(path.name + suffix).touch()
    stores.remove(path)
    assert list(path.parent.iterdir()) == []


def received(disk: FakeDisk, content: bytes) -> None:
    """What a member does with a store: it receives it, and makes it the one in use."""
    stores = Stores(disk, MEMBER)
    old = stores.current()
    incoming = stores.receive(META)
    for start in range(0, len(content), 700):
        incoming.write(content[start : start + 700])
    incoming.sync()
    incoming.keep()
    incoming.discard()
    stores.use(META)
    stores.remove(old)


def test_power_fails_at_any_step_of_a_reception_and_an_exchange() -> None:
    content = random.Random(1).randbytes(5000)
    first = Stores(FakeDisk({MEMBER: None}), MEMBER).path(SnapshotMeta())
    disk = FakeDisk({MEMBER / "CURRENT": f"{first.name}\n".encode(), first: b"old", Path(f"{first}-wal"): b"older"})
    received(disk, content)
    chance, seen = random.Random(2), set()
    for moment in disk.moments():
        for _ in range(10):
            found = moment.crash(chance)
            stores = Stores(found, MEMBER)
            current = stores.current()
            stores.clean(current)
            files = found.files()
            expected = {first: b"old", Path(f"{first}-wal"): b"older"} if current == first else {current: content}
            assert {path: files[path] for path in files if path.name != "CURRENT"} == expected
            seen.add(current.name)
    assert len(seen) == 2


def test_what_is_received_is_synced_as_it_comes() -> None:
    disk = FakeDisk({MEMBER: None}, keeps_steps=True)
    incoming = Stores(disk, MEMBER).receive(META)
    for _ in range(3):
        incoming.write(bytes(SYNC_BYTES // 2))
    assert [step.kind for step in disk.steps] == ["create", "write", "write", "datasync", "write"]
    incoming.discard()
    incoming.discard()
    assert disk.files() == {}
