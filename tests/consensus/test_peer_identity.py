import pytest

from consensus.peer_identity import PeerIdentity, Refused

ONE = PeerIdentity(0xC1, 1, "3.6.13")
TWO = PeerIdentity(0xC1, 2, "3.6.13", is_removed=lambda member_id: member_id == 9)


def test_a_member_of_the_cluster_is_admitted_also_an_unknown_one() -> None:
    assert TWO.admit(ONE.request_headers(2)) == 1
    assert TWO.admit(ONE.request_headers(0)) == 1
    assert TWO.admit(PeerIdentity(0xC1, 2**64 - 1, "3.6.13").request_headers(2)) == 2**64 - 1


def test_headers_are_named_as_etcd_names_them() -> None:
    assert ONE.request_headers(0xAB) == {
        "x-etcd-cluster-id": "c1",
        "x-server-version": "3.6.13",
        "x-min-cluster-version": "3.0.0",
        "x-server-from": "1",
        "x-raft-to": "ab",
    }


def test_who_may_be_unknown_says_where_it_is_asked() -> None:
    urls = ("http://a:1", "http://b:1")
    assert PeerIdentity(0xC1, 1, "3.6.13", peer_urls=urls).request_headers(2)["x-peerurls"] == "http://a:1,http://b:1"


@pytest.mark.parametrize(
    ("changes", "status", "text"),
    [
        ({"x-etcd-cluster-id": "c2"}, 412, "cluster ID mismatch"),
        ({"x-etcd-cluster-id": None}, 412, "cluster ID mismatch"),
        ({"x-raft-to": "3"}, 412, "to field mismatch"),
        ({"x-server-version": "2.9.0"}, 412, "incompatible version"),
        ({"x-server-version": None}, 412, "incompatible version"),
        ({"x-server-version": "new"}, 412, "incompatible version"),
        ({"x-min-cluster-version": "3.7.0"}, 412, "incompatible version"),
        ({"x-server-from": None}, 400, "the sender's id is missing"),
        ({"x-server-from": "z"}, 400, "the sender's id is missing"),
        ({"x-server-from": "9"}, 410, "the member has been permanently removed from the cluster"),
    ],
)
def test_others_are_refused(changes: dict[str, str | None], status: int, text: str) -> None:
    headers = {name: value for name, value in (ONE.request_headers(2) | changes).items() if value is not None}
    with pytest.raises(Refused) as refused:
        TWO.admit(headers)
    assert (refused.value.status, refused.value.text) == (status, text)


@pytest.mark.parametrize("version", ["3.5.16", "3.7.0-alpha.1", "3.6.0"])
def test_neighbouring_versions_work_together(version: str) -> None:
    other = PeerIdentity(0xC1, 5, version)
    assert TWO.admit(other.request_headers(2)) == 5
    TWO.check_answer(200, other.answer_headers())


def test_the_answer_is_checked_too() -> None:
    ONE.check_answer(200, TWO.answer_headers())
    with pytest.raises(Refused, match="cluster ID mismatch"):
        ONE.check_answer(200, PeerIdentity(0xC2, 2, "3.6.13").answer_headers())
    with pytest.raises(Refused, match="the peer answered 503"):
        ONE.check_answer(503, TWO.answer_headers())
