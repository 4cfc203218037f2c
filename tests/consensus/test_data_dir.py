from pathlib import Path

import pytest

from consensus.data_dir import DataDir, DataDirInvalid
from consensus.disk import OsDisk


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
    data_dir(tmp_path).use(3, 0x1F)
    assert data_dir(tmp_path).database().name == "kv-0000000000000003-000000000000001f.db"


def test_a_log_elsewhere(tmp_path: Path) -> None:
    elsewhere = tmp_path / "fast" / "wal"
    assert data_dir(tmp_path, elsewhere).wal_directory == elsewhere
    assert elsewhere.parent.is_dir()


@pytest.mark.parametrize("name", ["", "../kv-1.db", "store.db", "kv-1.db-wal"])
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
