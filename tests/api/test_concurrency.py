from raftgate.api import json_codec
from raftgate.api.concurrency import CampaignResponse, LeaderKey, LockRequest, LockResponse
from raftgate.api.message import Kind, describe


def test_the_fencing_revision_stands_behind_what_etcd_answers() -> None:
    answer = json_codec.encode(LockResponse(key=b"m/64", raftgate_fencing_revision=124))
    assert answer == b'{"key":"bS82NA==","raftgate_fencing_revision":"124"}'
    field = describe(CampaignResponse)[-1]
    assert (field.name, field.number, field.kind) == ("raftgate_fencing_revision", 1000, Kind.INT64)


def test_requests() -> None:
    assert json_codec.decode(LockRequest, b'{"name":"bQ==","lease":"100"}') == LockRequest(b"m", 100)
    assert json_codec.decode(LeaderKey, b'{"rev":1}') == LeaderKey(rev=1)
