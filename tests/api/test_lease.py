from raftgate.api import json_codec, wire_codec
from raftgate.api.lease import (
    LeaseCheckpoint,
    LeaseCheckpointRequest,
    LeaseGrantRequest,
    LeaseLeasesResponse,
    LeaseStatus,
    LeaseTimeToLiveResponse,
)


def test_names_are_in_upper_case_as_in_etcd() -> None:
    assert json_codec.decode(LeaseGrantRequest, b'{"TTL":60,"ID":"7"}') == LeaseGrantRequest(60, 7)
    assert json_codec.encode(LeaseLeasesResponse(leases=(LeaseStatus(7),))) == b'{"leases":[{"ID":"7"}]}'


def test_a_lease_that_is_not_there() -> None:
    assert json_codec.encode(LeaseTimeToLiveResponse(ID=7, TTL=-1)) == b'{"ID":"7","TTL":"-1"}'


def test_checkpoints_in_the_log() -> None:
    request = LeaseCheckpointRequest((LeaseCheckpoint(7, 30),))
    assert wire_codec.decode(LeaseCheckpointRequest, wire_codec.encode(request)) == request
