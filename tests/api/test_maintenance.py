from raftgate.api import json_codec
from raftgate.api.maintenance import (
    AlarmAction,
    AlarmMember,
    AlarmRequest,
    AlarmResponse,
    AlarmType,
    MoveLeaderRequest,
    MoveLeaderResponse,
)


def test_alarm_request_by_name_and_number() -> None:
    assert json_codec.decode(AlarmRequest, b'{"action":"ACTIVATE","alarm":1}') == AlarmRequest(
        action=AlarmAction.ACTIVATE, alarm=AlarmType.NOSPACE
    )


def test_unknown_action_number_is_kept() -> None:
    assert json_codec.decode(AlarmRequest, b'{"action":9}').action == 9


def test_member_id_beyond_uint64_is_refused_and_the_largest_kept() -> None:
    assert json_codec.decode(AlarmRequest, b'{"memberID":18446744073709551615}').memberID == 2**64 - 1


def test_alarms_are_listed() -> None:
    response = AlarmResponse(alarms=(AlarmMember(memberID=5, alarm=AlarmType.NOSPACE),))
    assert json_codec.encode(response) == b'{"alarms":[{"memberID":"5","alarm":"NOSPACE"}]}'


def test_a_transfer_names_its_target_and_is_answered_with_nothing() -> None:
    request = json_codec.decode(MoveLeaderRequest, b'{"targetID":"18446744073709551615"}')
    assert request == MoveLeaderRequest(targetID=2**64 - 1)
    assert json_codec.encode(MoveLeaderResponse()) == b"{}"
