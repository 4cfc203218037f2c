from consensus.options import Options
from tests.fakes.member import RECORD, options


def test_the_request_timeout_is_etcds() -> None:
    assert Options(member=RECORD, cluster_id=1).request_timeout == 7.0


def test_ticks_are_heartbeats() -> None:
    assert Options(member=RECORD, cluster_id=1).election_ticks == 10
    assert options().election_ticks == 10
