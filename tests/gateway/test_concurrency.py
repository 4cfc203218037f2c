import pytest

from gateway.concurrency import Concurrency
from raftgate.api.concurrency import (
    CampaignRequest,
    CampaignResponse,
    LeaderRequest,
    LeaderResponse,
    LockRequest,
    LockResponse,
    ProclaimRequest,
    ProclaimResponse,
    ResignRequest,
    ResignResponse,
    UnlockRequest,
    UnlockResponse,
)
from raftgate.api.message import Caller
from raftgate.api.services import ELECTION, LOCK, RPCS, RpcKind
from tests.fakes.keys import KeyBackend

pytestmark = pytest.mark.anyio


async def test_every_call_of_both_services_is_answered_in_its_kind() -> None:
    service = Concurrency(KeyBackend())
    lock = await service.call(LockRequest(name=b"m"), Caller())
    campaign = await service.call(CampaignRequest(name=b"e"), Caller())
    answers = {
        LockRequest: (lock, LockResponse),
        UnlockRequest: (await service.call(UnlockRequest(key=lock.key), Caller()), UnlockResponse),
        CampaignRequest: (campaign, CampaignResponse),
        ProclaimRequest: (await service.call(ProclaimRequest(leader=campaign.leader), Caller()), ProclaimResponse),
        LeaderRequest: (await service.call(LeaderRequest(name=b"e"), Caller()), LeaderResponse),
        ResignRequest: (await service.call(ResignRequest(leader=campaign.leader), Caller()), ResignResponse),
    }
    for answer, expected in answers.values():
        assert type(answer) is expected
    served = {rpc.request for rpc in RPCS if rpc.service in (LOCK, ELECTION) and rpc.kind is RpcKind.UNARY}
    assert served == set(answers)


async def test_the_callers_identity_goes_along() -> None:
    backend, caller = KeyBackend(), Caller(token="secret")
    await Concurrency(backend).call(LockRequest(name=b"m"), caller)
    assert backend.callers == {caller}
