import pytest
from sqlalchemy import create_engine, inspect

from storage import schema


def test_creates_the_tables_of_version_4() -> None:
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        assert schema.is_empty(connection)
        schema.create(connection)
        assert not schema.is_empty(connection)
        schema.check(connection)
        assert sorted(inspect(connection).get_table_names()) == [
            "alarms",
            "history",
            "leases",
            "members",
            "meta",
            "removed_members",
            "times",
        ]
        rows = connection.exec_driver_sql("SELECT name, value FROM meta").fetchall()
    assert {row[0]: row[1] for row in rows} == schema.FIRST_META


def test_the_id_of_history_is_sqlites_own_row_id() -> None:
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        schema.create(connection)
        connection.exec_driver_sql(schema.insert_history(1), (7 << 24, b"k", 7, 1, b"v", 0))
        assert connection.exec_driver_sql("SELECT rowid, id FROM history").one() == (7 << 24, 7 << 24)


def test_one_statement_inserts_many_rows() -> None:
    assert schema.insert_history(2) == (
        "INSERT INTO history (id, key, create_revision, version, value, lease)"
        " VALUES (?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?)"
    )
    assert schema.insert_history(2) is schema.insert_history(2)


def test_the_application_id_fits_sqlites_header() -> None:
    assert schema.APPLICATION_ID.to_bytes(4, "big") == b"RgKv"
    assert schema.APPLICATION_ID < 2**31  # SQLite reads it signed


@pytest.mark.parametrize("count", [1, 3])
def test_statements_over_ids(count: int) -> None:
    marks = ", ".join("?" * count)
    assert schema.delete_history(count) == f"DELETE FROM history WHERE id IN ({marks})"
    assert schema.select_history(count, values=False) == (
        f"SELECT id, create_revision, version, lease FROM history WHERE id IN ({marks})"
    )
    assert schema.select_history(count, values=True) == (
        f"SELECT id, create_revision, version, lease, value FROM history WHERE id IN ({marks})"
    )


def test_an_upgrade_of_this_version_changes_nothing() -> None:
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        schema.create(connection)
        before = connection.exec_driver_sql("SELECT * FROM meta ORDER BY name").fetchall()
        schema.upgrade(connection)
        assert connection.exec_driver_sql("SELECT * FROM meta ORDER BY name").fetchall() == before


def test_one_statement_replaces_or_deletes_many_leases() -> None:
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        schema.create(connection)
        connection.exec_driver_sql(schema.replace_leases(2), (7, 60, 0, -(2**63), 9_000_000_000, 5))
        connection.exec_driver_sql(schema.replace_leases(1), (7, 60, 40))
        rows = connection.exec_driver_sql("SELECT id, ttl, remaining_ttl FROM leases ORDER BY id").fetchall()
        assert [tuple(row) for row in rows] == [(-(2**63), 9_000_000_000, 5), (7, 60, 40)]
        connection.exec_driver_sql(schema.delete_leases(2), (7, 8))
        assert connection.exec_driver_sql("SELECT id FROM leases").scalars().all() == [-(2**63)]
