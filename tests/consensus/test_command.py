from pathlib import Path
from typing import Any

import pytest

from consensus import command
from consensus.command import CommandUnreadable
from raftgate.api.cluster import ClusterVersionSet, Member, MemberAdded, MemberAttributes
from raftgate.api.kv import Compare, CompareResult, CompareTarget, DeleteRangeRequest, PutRequest, RequestOp, TxnRequest
from raftgate.api.lease import LeaseCheckpoint, LeaseCheckpointRequest, LeaseGrantRequest, LeaseRevokeRequest
from raftgate.api.message import Request

GOLDEN = Path(__file__).parent / "golden"
TIME = 1_700_000_000.25
REQUESTS: dict[str, Request[Any]] = {
    "put": PutRequest(key=b"k", value=b"\x00\xff", lease=-1, prev_kv=True, ignore_value=False, ignore_lease=True),
    "delete": DeleteRangeRequest(key=b"a", range_end=b"\x00", prev_kv=True),
    "txn": TxnRequest(
        compare=(
            Compare(key=b"k", target=CompareTarget.VALUE, result=CompareResult.NOT_EQUAL, value=b"", range_end=b"l"),
            Compare(key=b"k", target=99, result=2**31 - 1, version=0),
        ),
        success=(RequestOp(request_put=PutRequest(key=b"k", value=b"v")),),
        failure=(
            RequestOp(request_txn=TxnRequest(success=(RequestOp(request_delete_range=DeleteRangeRequest(key=b"x")),))),
        ),
    ),
    "member": MemberAdded(member=Member(ID=2**64 - 1, name="n", peerURLs=("http://a:1", "http://b:2"))),
    "attributes": MemberAttributes(ID=7, name="n", clientURLs=("http://c:3",)),
    "version": ClusterVersionSet("3.6.0"),
    "grant": LeaseGrantRequest(TTL=9_000_000_000, ID=-(2**63)),
    "revoke": LeaseRevokeRequest(ID=2**63 - 1),
    "checkpoint": LeaseCheckpointRequest((LeaseCheckpoint(ID=-1, remaining_TTL=41), LeaseCheckpoint(ID=7))),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_what_goes_in_comes_out(name: str) -> None:
    envelope, request = command.decode(command.encode(2**64 - 1, REQUESTS[name], TIME))
    assert request == REQUESTS[name]
    assert (envelope.id, envelope.time, envelope.user, envelope.auth_revision) == (2**64 - 1, TIME, "", 0)


@pytest.mark.parametrize("name", REQUESTS)
def test_entries_of_version_1_open_for_ever(name: str, request: pytest.FixtureRequest) -> None:
    path = GOLDEN / f"command-1-{name}.bin"
    if request.config.getoption("--rewrite"):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(command.encode(5, REQUESTS[name], TIME))
    envelope, decoded = command.decode(path.read_bytes())
    assert decoded == REQUESTS[name]
    assert (envelope.id, envelope.time) == (5, TIME)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\x02\x91\x01", "format version 2, this version reads 1"),
        (b"\x01", "format version 1"),
        (b"\x01\x93\x01\xa7Unknown\x80", "Unknown"),
        (b"\x01\x93\x01\xa3Put\x81\xa3new\x01", "unknown field"),
    ],
    ids=["newer", "empty", "unknown method", "unknown field"],
)
def test_what_is_not_understood_is_refused(data: bytes, text: str) -> None:
    with pytest.raises(CommandUnreadable, match=text):
        command.decode(data)
