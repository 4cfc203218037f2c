"""Members added, removed, updated and promoted on a member alone: cluster-maintenance.md section 2, http.md section 8.

Nobody listens at the added members' URLs: they are recorded and stay unstarted. A learner costs no quorum, so that it
can be taken back; where a voter is added, the server is the case's own and has no quorum afterwards.
"""

from collections.abc import Sequence

from tests.e2e.case import ANYTHING, THIS_MEMBER, Case, Difference, Expected, Member, PeerUrl, Step, refused
from tests.e2e.rpc import (
    MEMBER_ADD,
    MEMBER_PROMOTE,
    MEMBER_REMOVE,
    MEMBER_UPDATE,
    MEMBERS,
    delete,
    get,
    post,
    put,
)

ADDED = Member(1)
BAD_URLS = "etcdserver: given member URLs are invalid"
NOT_FOUND = "etcdserver: member not found"
BREAKS_OTHERS = "an update with such URLs ends the other etcds"
STRICTER = "no other member could ever use it"
NOT_A_URL = refused(BREAKS_OTHERS, "http.md 8", 400, 3, BAD_URLS)
NOT_USABLE = refused(STRICTER, "cluster-maintenance.md 2", 400, 3, BAD_URLS)
LOSES_LEARNER = "an update of etcd's makes a learner look like a voter, and is not to"
NOT_IN_SYNC = refused(
    LOSES_LEARNER,
    "cluster-maintenance.md 2",
    400,
    9,
    "etcdserver: can only promote a learner member which is in sync with leader",
)
SECOND_LEARNER = Difference(
    "3.5 has one learner at most",
    "cluster-maintenance.md 2",
    200,
    body={"header": ANYTHING, "member": ANYTHING, "members": [ANYTHING, ANYTHING, ANYTHING]},
)


def still_learner(*urls: Expected) -> Difference:
    """State that a learner with these URLs is one."""
    member: Expected = {"ID": "<member 1>", "peerURLs": list(urls), "isLearner": True}
    body: Expected = {"header": ANYTHING, "members": [member, ANYTHING]}
    return Difference(LOSES_LEARNER, "cluster-maintenance.md 2", body=body)


def add(*urls: object, **fields: object) -> Step:
    """Add a voter."""
    return post(MEMBER_ADD, {"peerURLs": urls, **fields})


def learner(*urls: object) -> Step:
    """Add a learner."""
    return add(*urls, isLearner=True)


def remove(member: object) -> Step:
    """Remove a member."""
    return post(MEMBER_REMOVE, {"ID": member})


def update(member: object, *urls: object) -> Step:
    """Give a member other peer URLs."""
    return post(MEMBER_UPDATE, {"ID": member, "peerURLs": urls})


def promote(member: object) -> Step:
    """Give a learner a vote."""
    return post(MEMBER_PROMOTE, {"ID": member})


def listed(*, linearizable: bool = False) -> Step:
    """List the members."""
    return post(MEMBERS, {"linearizable": linearizable})


LEARNERS = [
    Case(
        "a learner comes and goes",
        [learner("http://127.0.1.1:1"), listed(), listed(linearizable=True), remove(ADDED), listed()],
        rows=("http-1-path-member-add", "http-1-path-member-remove", "cluster-2-add", "cluster-2-remove"),
    ),
    Case(
        "a learner with two URLs, which are sorted",
        [learner("http://127.0.1.2:2", "http://127.0.1.2:1", "http://127.0.1.1:9"), listed(), remove(ADDED)],
    ),
    Case(
        "one learner at most",
        [
            learner("http://127.0.1.3:1"),
            learner("http://127.0.1.4:1"),
            remove(ADDED),
            learner("http://127.0.1.5:1"),
            listed(),
        ],
        rows=("http-5-TooManyLearners",),
    ),
    Case(
        "a second learner where there may be two",
        [
            learner("http://127.0.1.6:1"),
            learner("http://127.0.1.7:1").differs(SECOND_LEARNER),
            learner("http://127.0.1.8:1"),
        ],
        own_flags=("--max-learners=2",),
    ),
    Case(
        "peer URLs that a member has",
        [
            learner("http://127.0.1.9:1"),
            learner("http://127.0.1.9:1", "http://127.0.1.9:2"),
            add("http://127.0.1.10:1", "http://127.0.1.9:1"),
            add(PeerUrl()),
            learner(PeerUrl()),
            listed(),
        ],
        rows=("http-5-PeerURLExist",),
    ),
    Case(
        "changes of members move no revision",
        [
            put(b"a"),
            learner("http://127.0.1.11:1"),
            put(b"a"),
            update(ADDED, "http://127.0.1.12:1").differs(still_learner("http://127.0.1.12:<port>")),
            remove(ADDED),
            put(b"a"),
            get(b"a"),
            delete(b"a"),
        ],
        rows=("kv-1-rev-members", "cluster-2-header"),
    ),
    Case(
        "what is removed is gone",
        [
            learner("http://127.0.1.13:1"),
            remove(ADDED),
            remove(ADDED),
            update(ADDED, "http://127.0.1.14:1"),
            promote(ADDED),
            remove(ADDED),
            listed(),
        ],
        rows=("cluster-2-remove", "http-5-MemberNotFound"),
    ),
    Case(
        "a learner that never ran is not in sync",
        [learner("http://127.0.1.15:1"), promote(ADDED), promote(ADDED), listed()],
        rows=("http-1-path-member-promote", "cluster-2-promote", "http-5-LearnerNotReady"),
    ),
    Case(
        "a voter is promoted no further",
        [promote(THIS_MEMBER), promote(THIS_MEMBER), listed()],
        rows=("http-5-MemberNotLearner",),
    ),
]

NOBODY = [
    Case(
        f"{verb} nobody",
        [step(0), step("0"), step(7), step("7"), step(2**64 - 1), step(str(2**64 - 1)), post(path), listed()],
        rows=("http-5-MemberNotFound",),
    )
    for verb, path, step in (("remove", MEMBER_REMOVE, remove), ("promote", MEMBER_PROMOTE, promote))
]

UPDATES = [
    Case(
        "other URLs for a learner",
        [
            learner("http://127.0.1.20:1"),
            update(ADDED, "http://127.0.1.21:1").differs(still_learner("http://127.0.1.21:<port>")),
            listed().differs(still_learner("http://127.0.1.21:<port>")),
            update(ADDED, "http://127.0.1.21:1").differs(still_learner("http://127.0.1.21:<port>")),
            update(ADDED, "http://127.0.1.23:1", "http://127.0.1.22:1").differs(
                still_learner("http://127.0.1.22:<port>", "http://127.0.1.23:<port>")
            ),
            promote(ADDED).differs(NOT_IN_SYNC),
            remove(ADDED),
        ],
        rows=("http-1-path-member-update", "cluster-2-update"),
    ),
    Case(
        "its own URLs for a member",
        [update(THIS_MEMBER, PeerUrl()), put(b"a"), listed()],
        rows=("cluster-2-update",),
    ),
    Case(
        "URLs of another member",
        [
            learner("http://127.0.1.24:1"),
            update(ADDED, PeerUrl()),
            update(THIS_MEMBER, "http://127.0.1.24:1"),
            update(THIS_MEMBER, PeerUrl(), "http://127.0.1.24:1"),
            listed(),
        ],
        rows=("cluster-2-update", "http-5-PeerURLExist"),
    ),
    Case(
        "other URLs for nobody",
        [update(0, "http://127.0.1.25:1"), update(7, "http://127.0.1.25:1"), update("7", "http://127.0.1.25:1")],
        rows=("cluster-2-update",),
    ),
    Case(
        "no URLs for a member",
        [
            step.never_to_etcd(NOT_A_URL)
            for step in (
                update(THIS_MEMBER),
                post(MEMBER_UPDATE, {"ID": THIS_MEMBER}),
                post(MEMBER_UPDATE, {"ID": THIS_MEMBER, "peerURLs": None}),
                update(7),
                post(MEMBER_UPDATE),
                post(MEMBER_UPDATE, None),
            )
        ]
        + [put(b"a"), listed()],
        rows=("http-8-member-update",),
    ),
    Case(
        "garbage for a member",
        [
            update(THIS_MEMBER, *urls).never_to_etcd(NOT_A_URL)
            for urls in (
                ("garbage",),
                ("",),
                ("http://127.0.1.26:1", "garbage"),
                ("http://127.0.1.26",),
                ("http://127.0.1.26:1/x",),
                ("ftp://127.0.1.26:1",),
                ("127.0.1.26:1",),
                ("http://127.0.1.26:x",),
                ("http://127.0.1.26:99999",),
            )
        ]
        + [put(b"a"), listed()],
        rows=("http-8-member-update",),
    ),
]


def bad(name: str, *urls: object) -> Case:
    """URLs that no member can have."""
    return Case(f"no peer URLs: {name}", [add(*urls), learner(*urls), listed()], rows=("http-5-MemberBadURLs",))


def odd(name: str, *urls: object) -> Case:
    """URLs that etcd takes and raftgate does not."""
    return Case(f"odd peer URLs: {name}", [learner(*urls).differs(NOT_USABLE)], rows=("http-5-MemberBadURLs",))


URLS = [
    bad("none"),
    Case(
        "no peer URLs: no field",
        [
            post(MEMBER_ADD),
            post(MEMBER_ADD, None),
            post(MEMBER_ADD, {"isLearner": True}),
            post(MEMBER_ADD, {"peerURLs": None}),
            listed(),
        ],
        rows=("http-5-MemberBadURLs",),
    ),
    bad("an empty one", ""),
    bad("a word", "garbage"),
    bad("one of two", "http://127.0.1.30:1", "garbage"),
    bad("no scheme", "127.0.1.30:1"),
    bad("another scheme", "ftp://127.0.1.30:1"),
    bad("no port", "http://127.0.1.30"),
    bad("a port that is no number", "http://127.0.1.30:x"),
    bad("a path", "http://127.0.1.30:1/x"),
    bad("a slash", "http://127.0.1.30:1/"),
    bad("half a bracket", "http://[::1:1"),
    bad("a blank within", "http://127.0. 1.30:1"),
    bad("a control character", "http://127.0.1.30\x01:1"),
    Case(
        "peer URLs are read as Go reads them",
        [learner(" http://127.0.1.31:1\n"), listed(), remove(ADDED), learner("HTTP://127.0.1.32:1"), listed()],
    ),
    odd("a socket", "unix://127.0.1.33:1"),
    odd("a query", "http://127.0.1.34:1?q=1"),
    odd("a user", "http://u@127.0.1.35:1"),
    odd("no host", "http://:1"),
    odd("an empty port", "http://127.0.1.36:"),
    odd("a port above all", "http://127.0.1.37:99999"),
    odd("the same twice", "http://127.0.1.38:1", "http://127.0.1.38:1"),
    Case(
        "hosts of all kinds",
        [
            step
            for number, host in enumerate(("[::1]", "localhost", "a-b.example"), 1)
            for step in (learner(f"http://{host}:1"), remove(Member(number)))
        ]
        + [listed()],
    ),
]

TYPES: Sequence[bytes] = (
    b'{"peerURLs":"http://127.0.1.40:1"}',
    b'{"peerURLs":[1]}',
    b'{"peerURLs":[null]}',
    b'{"peerURLs":[["http://127.0.1.40:1"]]}',
    b'{"peerURLs":{}}',
    b'{"peerURLs":["http://127.0.1.40:1"],"isLearner":"true"}',
    b'{"peerURLs":["http://127.0.1.40:1"],"isLearner":1}',
    b'{"peerURLs":[],"peerURLs":[]}',
    b"null",
    b"[]",
    b"{",
    b"",
)

MALFORMED = [
    Case("an addition, malformed", [*(post(MEMBER_ADD, body) for body in TYPES), listed()], rows=("http-2-bool",)),
    *[
        Case(
            f"{verb}, malformed",
            [
                step("x"),
                step(-1),
                step(2**64),
                step(1.5),
                step([]),
                step({}),
                step(True),
                post(path, b'{"ID":1,"ID":1}'),
                post(path, b"null"),
                post(path, b"[]"),
                post(path, b"{"),
                listed(),
            ],
            rows=("http-2-int64",),
        )
        for verb, path, step in (
            ("a removal", MEMBER_REMOVE, remove),
            ("a promotion", MEMBER_PROMOTE, promote),
            ("an update", MEMBER_UPDATE, lambda member: update(member, "http://127.0.1.41:1")),
        )
    ],
    *[
        Case(
            f"{path} by other methods",
            [Step("GET", path), Step("HEAD", path), Step("PUT", path, b"{}"), Step("OPTIONS", path)],
        )
        for path in (MEMBER_ADD, MEMBER_REMOVE, MEMBER_UPDATE, MEMBER_PROMOTE)
    ],
    Case(
        "changes of members by the older prefix",
        [
            post(MEMBER_ADD.replace("/v3/", "/v3beta/")),
            post(MEMBER_REMOVE.replace("/v3/", "/v3beta/")),
            post(f"{MEMBER_PROMOTE}/"),
        ],
    ),
    Case(
        "fields have two names, and unknown ones count for nothing",
        [
            post(MEMBER_ADD, {"peer_urls": ["http://127.0.1.42:1"], "is_learner": True}),
            post(MEMBER_ADD, {"peerURLs": ["http://127.0.1.43:1"], "isLearner": True, "name": "x", "foo": [{}]}),
            listed(),
        ],
    ),
]

STRICT = [
    Case(
        "the only member stays",
        [remove(THIS_MEMBER), learner("http://127.0.1.50:1"), remove(THIS_MEMBER), listed()],
        rows=("cluster-2-strict", "http-5-MemberNotEnoughStarted"),
    ),
    Case(
        "one may grow to two, and no further while the second has not started",
        [
            add("http://127.0.1.51:1"),
            listed(),
            add("http://127.0.1.52:1"),
            learner("http://127.0.1.53:1"),
            remove(THIS_MEMBER),
            listed(),
        ],
        rows=("cluster-2-strict", "http-5-MemberNotEnoughStarted", "http-5-Unhealthy"),
        fresh=True,
    ),
    Case(
        "one grows to two with a learner there, which may go",
        [learner("http://127.0.1.54:1"), add("http://127.0.1.55:1"), add("http://127.0.1.56:1"), listed()],
        rows=("cluster-2-strict",),
        fresh=True,
    ),
    Case(
        "what is unsafe, without the check",
        [
            learner("http://127.0.1.57:1"),
            promote(ADDED),
            remove(7),
            promote(7),
            remove(ADDED),
            add("http://127.0.1.58:1"),
            listed(),
        ],
        flags=("--strict-reconfig-check=false",),
        fresh=True,
    ),
]

CASES = [*LEARNERS, *NOBODY, *UPDATES, *URLS, *MALFORMED, *STRICT]
