from raftgate.version import SERVER_VERSION


def test_clients_that_switch_on_the_version_see_a_36() -> None:
    assert SERVER_VERSION.split(".")[:2] == ["3", "6"]
