"""The member list and the transfer of leadership of a member alone: cluster-maintenance.md sections 1, 2 and 5."""

from tests.e2e.case import THIS_MEMBER, Case, Step
from tests.e2e.rpc import MEMBERS, TRANSFER, delete, get, post, put


def move(target: object) -> Step:
    """Hand leadership over."""
    return post(TRANSFER, {"targetID": target})


LISTS = [
    Case(
        "the list of one member",
        [post(MEMBERS), post(MEMBERS, {"linearizable": True}), post(MEMBERS, {"linearizable": False})],
        rows=("http-1-path-member-list", "cluster-1-member", "cluster-1-number", "cluster-2-header"),
    ),
    Case(
        "the list tells no revision",
        [put(b"a"), post(MEMBERS), delete(b"a"), post(MEMBERS, {"linearizable": True}), get(b"a")],
        rows=("cluster-2-header", "kv-1-rev-members"),
    ),
    Case(
        "the list takes any message",
        [
            post(MEMBERS, None),
            post(MEMBERS, b""),
            post(MEMBERS, b'{"foo":[{}]}'),
            post(MEMBERS, b"{}garbage"),
            post(MEMBERS, b'{"linearizable":null}'),
        ],
    ),
    Case(
        "the list, malformed",
        [
            post(MEMBERS, b'{"linearizable":"true"}'),
            post(MEMBERS, b'{"linearizable":1}'),
            post(MEMBERS, b'{"linearizable":true,"linearizable":true}'),
            post(MEMBERS, b"null"),
            post(MEMBERS, b"[]"),
            post(MEMBERS, b"{"),
        ],
        rows=("http-2-bool",),
    ),
    Case(
        "the list by other methods",
        [Step("GET", MEMBERS), Step("HEAD", MEMBERS), Step("PUT", MEMBERS, b"{}"), Step("OPTIONS", MEMBERS)],
    ),
    Case("the list by the older prefix", [post(MEMBERS.replace("/v3/", "/v3beta/")), post(f"{MEMBERS}/")]),
]

TRANSFERS = [
    Case(
        "leadership to the leader itself",
        [put(b"a"), move(THIS_MEMBER), move(THIS_MEMBER), put(b"a"), get(b"a")],
        rows=("http-1-path-transfer-leadership", "http-3-no-header-transfer", "cluster-5-transfer-self"),
    ),
    Case(
        "leadership to nobody",
        [move(0), move("0"), post(TRANSFER), post(TRANSFER, None), put(b"a")],
        rows=("cluster-5-transfer-target", "http-5-BadLeaderTransferee"),
    ),
    Case(
        "leadership to a member that nobody knows",
        [move(7), move("7"), move(2**64 - 1), move(str(2**64 - 1)), move("1e3"), put(b"a")],
        rows=("cluster-5-transfer-target",),
    ),
    Case(
        "the target has one name",
        [post(TRANSFER, {"target_id": THIS_MEMBER}), post(TRANSFER, {"targetId": THIS_MEMBER})],
    ),
    Case(
        "a transfer, malformed",
        [
            move("x"),
            move(-1),
            move(2**64),
            move(1.5),
            move([]),
            post(TRANSFER, b'{"targetID":1,"targetID":1}'),
            post(TRANSFER, b"null"),
            post(TRANSFER, b"{"),
        ],
        rows=("http-2-int64",),
    ),
    Case(
        "a transfer by other methods",
        [Step("GET", TRANSFER), Step("HEAD", TRANSFER), Step("DELETE", TRANSFER, b"{}"), Step("OPTIONS", TRANSFER)],
    ),
]

CASES = [*LISTS, *TRANSFERS]
