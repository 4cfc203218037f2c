"""Downgrades: cluster-maintenance.md section 5. There is no older raftgate, so that none is ever begun."""

from tests.e2e.case import Case, Difference, Expected, Step
from tests.e2e.rpc import post, put

DOWNGRADE = "/v3/maintenance/downgrade"
SPEC = "cluster-maintenance.md 5"
INVALID: Expected = {
    "error": "etcdserver: invalid downgrade target version",
    "code": 3,
    "message": "etcdserver: invalid downgrade target version",
}


def ask(action: object, version: object = None) -> Step:
    """Ask for a downgrade; what is None is absent."""
    fields = {"action": action, "version": version}
    return post(DOWNGRADE, {name: value for name, value in fields.items() if value is not None})


def refused(action: object, version: object) -> Step:
    """Ask for what etcd can do and raftgate cannot."""
    return ask(action, version).differs(Difference("no version is one below", SPEC, status=400, body=INVALID))


def canceled(revision: str, version: object = None, action: object = "CANCEL") -> Step:
    """Cancel what is not going on, at a revision (`+N`)."""
    header: Expected = {
        "cluster_id": "<cluster_id>",
        "member_id": "<member_id>",
        "revision": revision,
        "raft_term": "<raft_term>",
    }
    why = "3.6 answers the cluster's version"
    body: Expected = {"header": header, "version": "3.6"}
    return ask(action, version).differs(Difference(why, SPEC, status=200, body=body))


CASES = [
    Case(
        "a downgrade to what is no version",
        [
            ask(action, version)
            for action in ("VALIDATE", "ENABLE", None)
            for version in (None, "", "3", "x", "3.x", "3.4-rc", "3.4.0.0", "-3.4.0", " 3.4", "3.4.0-ü")
        ],
        rows=("http-1-path-downgrade", "cluster-5-downgrade-format", "http-5-WrongDowngradeVersionFormat"),
    ),
    Case(
        "a downgrade to another version than the one below",
        [ask(action, version) for action in ("VALIDATE", "ENABLE") for version in ("3.3", "3.7", "9.9.9", "0.0")],
        rows=("cluster-5-downgrade-target", "http-5-InvalidDowngradeTargetVersion"),
    ),
    Case(
        "the version below etcd's is none below raftgate's",
        [refused(action, version) for action in ("VALIDATE", None, 0) for version in ("3.4", "3.4.9", "3.4.0-rc.1+b")],
    ),
    Case(
        "a downgrade that is not going on is cancelled",
        [canceled("+0"), put(b"k"), canceled("+1"), canceled("+1", "x"), canceled("+1", action=2)],
        rows=("cluster-5-downgrade-cancel",),
    ),
    Case(
        "an action of a downgrade that does not exist",
        [ask(9, "3.4"), ask(3), ask(-1, "3.4"), ask("enable", "3.3"), ask("DEFRAGMENT", "x")],
        rows=("cluster-5-downgrade-action", "http-5-UnknownMethod"),
    ),
    Case(
        "a downgrade takes an object", [post(DOWNGRADE, body) for body in (b"", b"null", b"[]", b"{", b'{"version":3}')]
    ),
]
