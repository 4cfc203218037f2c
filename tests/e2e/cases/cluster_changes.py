"""Members that come and go, asked of three: cluster-maintenance.md section 2, with the whole table of what is refused.

A case that is not `fresh` leaves the three as they were; what it has added is removed after it.
"""

from tests.e2e.case import ANYTHING, Case, Difference, Expected, Member, PeerUrl, Step, refused
from tests.e2e.cases.member_changes import (
    BAD_URLS,
    BREAKS_OTHERS,
    LOSES_LEARNER,
    add,
    learner,
    listed,
    promote,
    remove,
    update,
)
from tests.e2e.cluster_runner import act
from tests.e2e.rpc import MEMBER_UPDATE, STATUS, TRANSFER, get, post, put

LEADER, SECOND, THIRD = (Member(number) for number in range(3))
ADDED, NEXT = Member(3), Member(4)
NEWCOMER = PeerUrl(3)
STRICTNESS = "cluster-maintenance.md 2"
QUORUM = "etcd wants all voters connected, where those of a quorum will do"
FIFTH = Difference(QUORUM, STRICTNESS, 200, body={"header": ANYTHING, "member": ANYTHING, "members": [ANYTHING] * 5})
TOO_FEW = refused(QUORUM, STRICTNESS, 500, 2, "etcdserver: re-configuration failed due to not enough started members")
FOR_VOTERS = refused(
    "3.6 has another code for it", "cluster-maintenance.md 7", 400, 9, "etcdserver: rpc not supported for learner"
)
NOT_READY = Difference("3.6 has the check non_learner", STRICTNESS, 503, headers={"x-content-type-options": ANYTHING})
NOT_A_URL = refused(BREAKS_OTHERS, "http.md 8", 400, 3, BAD_URLS)


def everywhere(step: Step) -> list[Step]:
    """Ask every member."""
    return [step.at(number) for number in range(3)]


def kept(step: Step, url: str) -> Step:
    """An update of a learner, which stays one."""
    record: Expected = {"ID": "<member 3>", "peerURLs": [url], "isLearner": True}
    body: Expected = {"header": ANYTHING, "members": [ANYTHING, ANYTHING, record, ANYTHING]}
    return step.differs(Difference(LOSES_LEARNER, "cluster-maintenance.md 2", body=body))


SAFE = [
    Case(
        "three list each other",
        [*everywhere(listed()), *everywhere(listed(linearizable=True))],
        rows=("cluster-1-order", "cluster-2-list-local", "cluster-2-list-linearizable"),
    ),
    Case(
        "a learner added by one and removed by another",
        [
            learner("http://127.0.2.1:1").at(1),
            *everywhere(listed(linearizable=True)),
            remove(ADDED).at(2),
            *everywhere(listed(linearizable=True)),
        ],
        rows=("cluster-2-add", "cluster-2-remove"),
    ),
    Case(
        "one learner at most, whoever is asked",
        [learner("http://127.0.2.2:1"), learner("http://127.0.2.3:1").at(1), learner("http://127.0.2.4:1").at(2)],
        rows=("http-5-TooManyLearners",),
    ),
    Case(
        "peer URLs of three",
        [learner(PeerUrl(1)).at(2), add(PeerUrl(0)).at(1), add("http://127.0.2.5:1", PeerUrl(2)), listed()],
        rows=("http-5-PeerURLExist",),
    ),
    Case(
        "other URLs, by a follower",
        [
            learner("http://127.0.2.6:1").at(2),
            kept(update(ADDED, "http://127.0.2.7:1").at(1), "http://127.0.2.7:<port>"),
            update(ADDED, PeerUrl(1)).at(2),
            update(SECOND, PeerUrl(2)).at(1),
            kept(update(SECOND, PeerUrl(1)).at(2), "http://127.0.2.7:<port>"),
            update(7, "http://127.0.2.8:1").at(1),
            put(b"a").at(1),
        ],
        rows=("cluster-2-update", "http-5-PeerURLExist"),
    ),
    Case(
        "a follower asks the leader to promote",
        [learner("http://127.0.2.9:1").at(1)]
        + [step for member in (ADDED, SECOND, LEADER, 7, 0) for step in everywhere(promote(member))],
        rows=("cluster-2-promote", "http-5-LearnerNotReady", "http-5-MemberNotLearner"),
    ),
    Case(
        "followers know nobody else",
        [remove(0).at(1), remove(7).at(2), remove(2**64 - 1).at(1), promote(7).at(2), *everywhere(listed())],
        rows=("cluster-2-remove", "http-5-MemberNotFound"),
    ),
    Case(
        "followers take no other URLs",
        [
            step.at(number)
            for number in (1, 2)
            for step in (add(), add("garbage"), learner("http://127.0.2.10"), learner("http://127.0.2.10:1/"))
        ]
        + everywhere(listed()),
        rows=("http-5-MemberBadURLs",),
    ),
    Case(
        "an update that would end the others",
        [
            step.at(number).never_to_etcd(NOT_A_URL)
            for number in range(3)
            for step in (
                update(LEADER),
                update(SECOND, "garbage"),
                update(THIRD, ""),
                post(MEMBER_UPDATE, {"ID": SECOND}),
                update(LEADER, PeerUrl(0), "http://127.0.2.11"),
            )
        ]
        + [*everywhere(listed(linearizable=True)), put(b"a").at(2)],
        rows=("http-8-member-update",),
    ),
    Case(
        "what is removed is gone for all",
        [learner("http://127.0.2.12:1"), remove(ADDED).at(1)]
        + [
            step.at(number)
            for number in range(3)
            for step in (remove(ADDED), update(ADDED, "http://127.0.2.13:1"), promote(ADDED))
        ],
        rows=("cluster-2-remove",),
    ),
]

STRICT = [
    Case(
        "no third voter while two have not started",
        [
            add("http://127.0.2.20:1").at(1),
            add("http://127.0.2.21:1").never_to_etcd(FIFTH),
            add("http://127.0.2.22:1").at(2).never_to_etcd(TOO_FEW),
            remove(SECOND).never_to_etcd(TOO_FEW),
            remove(LEADER).never_to_etcd(TOO_FEW),
            remove(THIRD).at(1).never_to_etcd(TOO_FEW),
            put(b"a").at(1),
            remove(NEXT).never_to_etcd(Difference(QUORUM, STRICTNESS, 200, body=ANYTHING)),
            remove(ADDED).at(2),
            listed(linearizable=True),
        ],
        rows=("cluster-2-strict", "http-5-MemberNotEnoughStarted"),
        fresh=True,
    ),
    Case(
        "nobody is added while one is away",
        [
            act("KILL", 2),
            add("http://127.0.2.23:1"),
            learner("http://127.0.2.24:1"),
            add("http://127.0.2.25:1").at(1),
            learner("http://127.0.2.26:1").at(1),
            put(b"a").at(1),
            listed(linearizable=True),
        ],
        rows=("cluster-2-strict", "http-5-Unhealthy"),
        fresh=True,
    ),
    Case(
        "who is there stays while another is away, who may go",
        [
            act("KILL", 2),
            remove(SECOND),
            remove(LEADER),
            remove(SECOND).at(1),
            remove(THIRD),
            listed(linearizable=True).at(1),
            remove(THIRD).at(1),
            put(b"a"),
        ],
        rows=("cluster-2-strict", "http-5-Unhealthy"),
        fresh=True,
    ),
    Case(
        "who is away stays while too few have started",
        [
            add("http://127.0.2.27:1"),
            add("http://127.0.2.28:1").never_to_etcd(FIFTH),
            act("KILL", 2),
            remove(THIRD).never_to_etcd(TOO_FEW),
            remove(THIRD).at(1).never_to_etcd(TOO_FEW),
            remove(SECOND).never_to_etcd(TOO_FEW),
            listed().at(1).without_body(),
        ],
        rows=("cluster-2-strict", "http-5-MemberNotEnoughStarted"),
        fresh=True,
    ),
    Case(
        "a learner may go whoever is away",
        [
            learner("http://127.0.2.31:1"),
            act("KILL", 1),
            remove(ADDED).at(2),
            remove(ADDED),
            listed(linearizable=True).at(2),
        ],
        rows=("cluster-2-strict",),
        fresh=True,
    ),
    Case(
        "one is away, without the check",
        [
            act("KILL", 2),
            learner("http://127.0.2.29:1"),
            promote(ADDED),
            remove(ADDED).at(1),
            remove(THIRD),
            listed(linearizable=True).at(1),
        ],
        rows=("cluster-2-strict",),
        flags=("--strict-reconfig-check=false",),
        fresh=True,
    ),
]

LEAVING = [
    Case(
        "three become one",
        [
            remove(THIRD).at(1),
            act("GONE", 2),
            listed(linearizable=True),
            remove(SECOND),
            act("GONE", 1),
            listed(linearizable=True),
            remove(LEADER),
            put(b"a"),
            get(b"a"),
        ],
        rows=("cluster-2-removed", "cluster-2-remove"),
        fresh=True,
    ),
    Case(
        "the leader is removed",
        [
            put(b"a"),
            remove(LEADER).at(1),
            act("GONE", 0),
            act("LEADER", 1),
            listed(linearizable=True).at(1),
            listed(linearizable=True).at(2),
            remove(LEADER).at(2),
            put(b"b").at(1),
            get(b"a").at(2),
        ],
        rows=("cluster-2-removed",),
        fresh=True,
    ),
]

JOINING = [
    Case(
        "a learner runs and is promoted",
        [
            learner(NEWCOMER),
            promote(ADDED).at(1),
            act("JOIN", 3),
            listed(linearizable=True),
            put(b"a"),
            post(TRANSFER, {"targetID": ADDED}),
            promote(ADDED).at(1),
            promote(ADDED).at(2),
            listed(linearizable=True).at(3),
            put(b"a").at(3),
            post(TRANSFER, {"targetID": ADDED}),
            remove(ADDED).at(1),
            act("GONE", 3),
        ],
        rows=("cluster-2-promote", "cluster-5-transfer-learner", "cluster-2-existing"),
        fresh=True,
    ),
    Case(
        "what a learner serves",
        [
            learner(NEWCOMER),
            act("JOIN", 3),
            put(b"a").at(3).differs(FOR_VOTERS),
            get(b"a").at(3).differs(FOR_VOTERS),
            get(b"a", serializable=True).at(3),
            listed().at(3).differs(FOR_VOTERS),
            listed(linearizable=True).at(3).differs(FOR_VOTERS),
            post(STATUS).at(3).without_body(),
            learner("http://127.0.2.30:1").at(3).differs(FOR_VOTERS),
            remove(ADDED).at(3).differs(FOR_VOTERS),
            promote(ADDED).at(3).differs(FOR_VOTERS),
            Step("GET", "/health").at(3),
            Step("GET", "/livez").at(3).without_body(),
            Step("GET", "/readyz").at(3).without_body().differs(NOT_READY),
        ],
        rows=("cluster-2-learner-serves", "cluster-2-learner-ready", "http-5-NotSupportedForLearner"),
        fresh=True,
    ),
    Case(
        "a voter runs",
        [
            add(NEWCOMER).at(1),
            listed(),
            act("JOIN", 3),
            listed(linearizable=True).at(3),
            promote(ADDED),
            remove(ADDED).at(1),
            act("GONE", 3),
            listed(linearizable=True),
        ],
        rows=("cluster-2-add", "cluster-2-existing"),
        fresh=True,
    ),
]

CASES = [*SAFE, *STRICT, *LEAVING, *JOINING]
