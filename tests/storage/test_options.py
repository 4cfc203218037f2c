from storage.options import PENDING_LIMIT, Options


def test_defaults_are_the_safe_ones() -> None:
    assert Options().fsync
    assert PENDING_LIMIT == 64 * 1024 * 1024


def test_a_piece_is_never_empty() -> None:
    assert [Options(large=large).piece for large in (1, 2, 3, 2000)] == [1, 1, 1, 1000]
