from tests.fakes.gateway import make_options


def test_bounds_follow_from_max_request_bytes() -> None:
    options = make_options()
    assert options.max_message_bytes == 2_097_152
    assert options.max_body_bytes == 2 * 1_572_864 + 4 * 1024 * 1024


def test_defaults_let_everything_in_and_decide_nothing() -> None:
    options = make_options()
    assert options.cors == options.host_whitelist == {"*"}
    assert options.cluster_version() == "not_decided"
    assert not options.draining()
    assert options.debug_vars() == {}
