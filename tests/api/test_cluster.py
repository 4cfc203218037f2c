from raftgate.api import json_codec, wire_codec
from raftgate.api.cluster import Member, MemberAdded, MemberAttributes, MemberListRequest, MemberListResponse
from raftgate.api.kv import ResponseHeader


def test_a_member_in_etcds_json_form() -> None:
    member = Member(2**64 - 1, "one", ("http://h:2380",), ("http://h:2379", "http://h:2389"), isLearner=True)
    assert json_codec.encode(member) == (
        b'{"ID":"18446744073709551615","name":"one","peerURLs":["http://h:2380"],'
        b'"clientURLs":["http://h:2379","http://h:2389"],"isLearner":true}'
    )
    assert json_codec.encode(Member(5)) == b'{"ID":"5"}'


def test_internal_requests_travel_in_log_entries() -> None:
    added = MemberAdded(Member(7, peerURLs=("http://h:2380",)))
    published = MemberAttributes(7, "seven", ("http://h:2379",))
    assert wire_codec.decode(MemberAdded, wire_codec.encode(added)) == added
    assert wire_codec.decode(MemberAttributes, wire_codec.encode(published)) == published


def test_the_list_has_a_header_without_revision() -> None:
    answer = MemberListResponse(ResponseHeader(1, 2, 0, 3), (Member(5),))
    assert json_codec.encode(answer) == (
        b'{"header":{"cluster_id":"1","member_id":"2","raft_term":"3"},"members":[{"ID":"5"}]}'
    )
    assert json_codec.decode(MemberListRequest, b'{"linearizable":true}') == MemberListRequest(linearizable=True)
