import asyncio

import pytest
from prometheus_client import CollectorRegistry

from gateway.metrics import Metrics
from gateway.tally import Tally
from gateway.wire import STOPPED, ClientGone
from raftgate.api.errors import Compacted, DeadlineExceeded, InvalidAuthToken, NoLeader, Stopped
from raftgate.api.services import RPCS

(WATCH,) = (rpc for rpc in RPCS if rpc.method == "Watch")
LABELS = {"grpc_service": "etcdserverpb.Watch", "grpc_method": "Watch", "grpc_type": "bidi_stream"}


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (None, "OK", "client"),
        (ClientGone(), "Canceled", "client"),
        (asyncio.CancelledError(), "Canceled", "client"),
        (asyncio.CancelledError(STOPPED), "Unavailable", "shutdown"),
        (Stopped(), "Unavailable", "shutdown"),
        (NoLeader(), "Unavailable", "no_leader"),
        (Compacted(), "OutOfRange", "compacted"),
        (DeadlineExceeded(), "DeadlineExceeded", "client"),
        (InvalidAuthToken(), "Unauthenticated", "error"),
        (KeyError(), "Internal", "error"),
    ],
)
def test_how_a_stream_ended(error: BaseException | None, code: str, reason: str) -> None:
    metrics = Metrics(CollectorRegistry())
    sample = metrics.registry.get_sample_value

    def run() -> None:
        with Tally(metrics.streams, metrics.rpc(WATCH), "watch_sse", lambda: 0.0) as tally:
            assert sample("raftgate_streams_open", {"kind": "watch_sse"}) == 1
            tally.received()
            tally.sent(3)
            if error is not None:
                raise error

    if error is None:
        run()
    else:
        with pytest.raises(type(error)):
            run()
    assert sample("raftgate_streams_open", {"kind": "watch_sse"}) == 0
    assert sample("raftgate_stream_events_total", {"kind": "watch_sse"}) == 3
    assert sample("raftgate_stream_closed_total", {"kind": "watch_sse", "reason": reason}) == 1
    assert sample("grpc_server_handled_total", {**LABELS, "grpc_code": code}) == 1
    assert sample("grpc_server_msg_received_total", LABELS) == 1
    assert sample("grpc_server_msg_sent_total", LABELS) == 1


def test_a_reason_may_be_given() -> None:
    metrics = Metrics(CollectorRegistry())
    with Tally(metrics.streams, metrics.rpc(WATCH), "watch_sse", lambda: 0.0) as tally:
        tally.reason = "compacted"
    assert metrics.streams.closed == {("watch_sse", "compacted"): 1}
