from storage.options import PENDING_LIMIT, Options


def test_defaults_are_the_safe_ones() -> None:
    assert Options().fsync
    assert PENDING_LIMIT == 64 * 1024 * 1024
