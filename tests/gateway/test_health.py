import asyncio
import logging

import pytest

from gateway.health import Health, Unhealthy
from raftgate.api.errors import EtcdError, NoLeader, NotSupportedForLearner, PermissionDenied, Timeout, UserEmpty
from raftgate.api.kv import RangeRequest, RangeResponse
from raftgate.api.maintenance import AlarmType, StatusRequest, StatusResponse
from raftgate.api.message import Caller
from tests.fakes.backend import FakeBackend
from tests.fakes.gateway import Gateway, make_options

TEXT = "text/plain; charset=utf-8"
VERBOSE = "[+]data_corruption ok\n[+]serializable_read ok\n[+]linearizable_read ok\n[+]non_learner ok\nok\n"


def with_alarms(*alarms: AlarmType | int) -> StatusResponse:
    return StatusResponse(errors=("etcdserver: no leader", *(f"memberID:1 alarm:{alarm} " for alarm in alarms)))


def alarmed(*alarms: AlarmType | int) -> Gateway:
    gateway = Gateway()
    gateway.backend.answers[StatusRequest] = with_alarms(*alarms)
    return gateway


def ranging(*, local: EtcdError | None = None, quorum: EtcdError | None = None, leader: bool = True) -> FakeBackend:
    """A backend whose reads fail as told."""

    def answer(request: RangeRequest, caller: Caller) -> RangeResponse | EtcdError:
        if caller.needs_leader and not leader:
            return NoLeader()
        return (local if request.serializable else quorum) or RangeResponse()

    backend = FakeBackend()
    backend.answers[RangeRequest] = answer
    return backend


@pytest.mark.anyio
async def test_health_is_byte_exact() -> None:
    response = await Gateway().get("/health")
    assert (response.status_code, response.content) == (200, b'{"health":"true","reason":""}')
    assert response.headers["content-type"] == TEXT
    assert "x-content-type-options" not in response.headers


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("alarms", "query", "reason"),
    [
        pytest.param([AlarmType.NOSPACE], "", "ALARM NOSPACE", id="nospace"),
        pytest.param([AlarmType.CORRUPT], "", "ALARM CORRUPT", id="corrupt"),
        pytest.param([7], "", "ALARM UNKNOWN", id="unknown"),
        pytest.param([AlarmType.NOSPACE], "?exclude=NOSPACE", "", id="excluded"),
        pytest.param([AlarmType.NOSPACE], "?exclude=nospace", "ALARM NOSPACE", id="exclude-is-exact"),
        pytest.param([AlarmType.NOSPACE, AlarmType.CORRUPT], "?exclude=NOSPACE", "ALARM CORRUPT", id="other-stays"),
        pytest.param(
            [AlarmType.NOSPACE, AlarmType.CORRUPT], "?exclude=NOSPACE&exclude=CORRUPT&exclude=X", "", id="repeated"
        ),
        pytest.param([AlarmType.NOSPACE], "?serializable=true", "ALARM NOSPACE", id="serializable-too"),
    ],
)
async def test_health_and_alarms(alarms: list[AlarmType | int], query: str, reason: str) -> None:
    response = await alarmed(*alarms).get("/health" + query)
    if not reason:
        assert (response.status_code, response.text) == (200, '{"health":"true","reason":""}')
        return
    assert (response.status_code, response.text) == (503, f'{{"health":"false","reason":"{reason}"}}\n')
    assert response.headers["content-type"] == TEXT
    assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("backend", "query", "reason"),
    [
        pytest.param(ranging(leader=False), "", "RAFT NO LEADER", id="no-leader"),
        pytest.param(ranging(leader=False), "?serializable=true", "", id="no-leader-serializable"),
        pytest.param(ranging(leader=False), "?serializable=1", "RAFT NO LEADER", id="only-the-value-true"),
        pytest.param(ranging(quorum=Timeout()), "", "RANGE ERROR:etcdserver: request timed out", id="no-quorum"),
        pytest.param(ranging(quorum=Timeout()), "?serializable=true", "", id="no-quorum-serializable"),
        pytest.param(
            ranging(local=Timeout()), "?serializable=true", "RANGE ERROR:etcdserver: request timed out", id="no-read"
        ),
        pytest.param(ranging(quorum=UserEmpty(), local=UserEmpty()), "", "", id="auth-on"),
        pytest.param(ranging(quorum=PermissionDenied()), "", "", id="denied"),
    ],
)
async def test_health_and_reads(backend: FakeBackend, query: str, reason: str) -> None:
    response = await Gateway(backend).get("/health" + query)
    assert response.json() == {"health": "false" if reason else "true", "reason": reason}
    assert response.status_code == (503 if reason else 200)


@pytest.mark.anyio
async def test_health_is_counted() -> None:
    gateway = alarmed()
    await gateway.get("/health")
    gateway.backend.answers[StatusRequest] = with_alarms(AlarmType.NOSPACE)
    await gateway.get("/health")
    assert gateway.sample("etcd_server_health_success") == 1
    assert gateway.sample("etcd_server_health_failures") == 1


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/livez", "ok\n"),
        ("/readyz", "ok\n"),
        ("/livez?verbose", "[+]serializable_read ok\nok\n"),
        ("/readyz?verbose", VERBOSE),
        ("/readyz?verbose=anything", VERBOSE),
        ("/readyz?verbose&exclude=non_learner", VERBOSE.replace("[+]non_learner ok\n", "")),
        ("/readyz?verbose&exclude=nope", VERBOSE),
        ("/livez?verbose&exclude=serializable_read", "ok\n"),
        ("/livez/serializable_read", "ok\n"),
        ("/livez/serializable_read?verbose", "[+]serializable_read ok\nok\n"),
        ("/readyz/data_corruption", "ok\n"),
        ("/readyz/linearizable_read", "ok\n"),
        ("/readyz/non_learner?verbose", "[+]non_learner ok\nok\n"),
        ("/readyz/draining?verbose", "[+]draining ok\nok\n"),
    ],
)
async def test_probes_when_all_is_well(path: str, text: str) -> None:
    response = await Gateway().get(path)
    assert (response.status_code, response.text) == (200, text)
    assert response.headers["content-type"] == TEXT
    assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.anyio
async def test_a_failing_probe_lists_all_lines_and_an_empty_one() -> None:
    response = await alarmed(AlarmType.CORRUPT).get("/readyz")
    assert response.status_code == 503
    assert response.text == (
        "[-]data_corruption failed: alarm activated: CORRUPT\n"
        "[+]serializable_read ok\n[+]linearizable_read ok\n[+]non_learner ok\n\n"
    )
    assert response.headers["content-type"] == TEXT
    assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("backend", "check", "failure"),
    [
        pytest.param(ranging(leader=False), "linearizable_read", "etcdserver: no leader", id="no-leader"),
        pytest.param(ranging(quorum=Timeout()), "linearizable_read", "etcdserver: request timed out", id="no-quorum"),
        pytest.param(
            ranging(quorum=NotSupportedForLearner()), "non_learner", "not supported for learner", id="learner"
        ),
        pytest.param(ranging(local=Timeout()), "serializable_read", "etcdserver: request timed out", id="no-read"),
    ],
)
async def test_one_failing_check_of_readyz(backend: FakeBackend, check: str, failure: str) -> None:
    gateway = Gateway(backend)
    lines = (await gateway.get("/readyz")).text.splitlines()
    assert [line for line in lines if line.startswith("[-]")] == [f"[-]{check} failed: {failure}"]
    alone = await gateway.get(f"/readyz/{check}")
    assert (alone.status_code, alone.text) == (503, f"[-]{check} failed: {failure}\n\n")


@pytest.mark.anyio
async def test_nospace_does_not_fail_readyz_and_nothing_remote_fails_livez() -> None:
    assert (await alarmed(AlarmType.NOSPACE).get("/readyz")).status_code == 200
    assert (await alarmed(AlarmType.CORRUPT).get("/livez")).status_code == 200
    assert (await Gateway(ranging(leader=False, quorum=Timeout())).get("/livez")).status_code == 200


@pytest.mark.anyio
async def test_draining_fails_readyz_alone_and_shows_only_then() -> None:
    draining = False
    gateway = Gateway(draining=lambda: draining)
    assert "draining" not in (await gateway.get("/readyz?verbose")).text
    draining = True
    response = await gateway.get("/readyz")
    assert response.status_code == 503
    assert "[-]draining failed: the server is stopping\n" in response.text
    assert (await gateway.get("/livez")).status_code == 200


@pytest.mark.anyio
async def test_own_checks() -> None:
    async def stuck() -> None:
        raise Unhealthy("the writer\nis stuck")

    async def restoring() -> None:
        raise Unhealthy("restoring, 41%")

    gateway = Gateway(live_checks={"writer": stuck}, ready_checks={"bootstrap": restoring})
    live = await gateway.get("/livez")
    assert live.text == "[+]serializable_read ok\n[-]writer failed: the writer is stuck\n\n"
    ready = await gateway.get("/readyz")
    assert ready.text.endswith("[-]writer failed: the writer is stuck\n[-]bootstrap failed: restoring, 41%\n\n")
    assert (await gateway.get("/readyz?exclude=writer&exclude=bootstrap")).status_code == 200
    assert (await gateway.get("/readyz/bootstrap")).status_code == 503
    assert (await gateway.get("/livez/bootstrap")).status_code == 404


@pytest.mark.anyio
async def test_checks_are_counted_and_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    gateway = alarmed(AlarmType.CORRUPT)
    for _ in range(3):
        await gateway.get("/readyz")
    labels = {"type": "readyz", "name": "data_corruption"}
    assert gateway.sample("etcd_server_healthcheck", **labels) == 0
    assert gateway.sample("etcd_server_healthchecks_total", **labels, status="error") == 3
    assert gateway.sample("etcd_server_healthcheck", type="readyz", name="non_learner") == 1
    assert gateway.sample("etcd_server_healthchecks_total", type="readyz", name="non_learner", status="success") == 3
    assert len([record for record in caplog.records if "data_corruption" in record.message]) == 1


@pytest.mark.anyio
async def test_a_check_has_a_deadline_of_its_own() -> None:
    backend = FakeBackend()
    backend.gate = asyncio.Event()
    gateway = Gateway(backend, health_timeout=0.02)
    response = await gateway.get("/readyz/linearizable_read")
    assert response.text == "[-]linearizable_read failed: etcdserver: request timed out\n\n"
    assert (await gateway.get("/health")).json()["reason"] == "RANGE ERROR:etcdserver: request timed out"


@pytest.mark.anyio
async def test_concurrent_probes_share_one_quorum_read() -> None:
    backend = FakeBackend()
    backend.gate = asyncio.Event()
    handlers = Health(backend, make_options()).handlers()
    probe = handlers["/readyz/linearizable_read"]
    scope = {"method": "GET", "query_string": b""}
    tasks = [asyncio.ensure_future(probe(scope)) for _ in range(100)]
    await backend.waiting.wait()
    tasks[0].cancel()  # one probe that gives up does not end the read of the others
    backend.gate.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [result.status for result in results if not isinstance(result, BaseException)] == [200] * 99
    assert len(backend.calls) == 1
    await probe(scope)
    assert len(backend.calls) == 2
