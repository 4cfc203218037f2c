import pytest

from raftgate.api import errors
from raftgate.api.errors import Code

CATALOGUE = [
    ("EmptyKey", 3, "etcdserver: key is not provided"),
    ("Compacted", 11, "etcdserver: mvcc: required revision has been compacted"),
    ("FutureRev", 11, "etcdserver: mvcc: required revision is a future revision"),
    ("NoSpace", 8, "etcdserver: mvcc: database space exceeded"),
    ("LeaseNotFound", 5, "etcdserver: requested lease not found"),
    ("MemberNotEnoughStarted", 2, "etcdserver: re-configuration failed due to not enough started members"),
    ("TooManyRequests", 2, "etcdserver: too many requests"),
    ("InvalidAuthToken", 16, "etcdserver: invalid auth token"),
    ("Corrupt", 15, "etcdserver: corrupt cluster"),
    ("DeadlineExceeded", 4, "context deadline exceeded"),
]


@pytest.mark.parametrize(("name", "code", "text"), CATALOGUE, ids=[row[0] for row in CATALOGUE])
def test_catalogue(name: str, code: int, text: str) -> None:
    kind = getattr(errors, name)
    assert (kind.code, kind().text, str(kind())) == (code, text, text)


def test_a_text_of_its_own() -> None:
    assert errors.InvalidArgument("proto: no").text == "proto: no"
    assert errors.InvalidArgument("proto: no").code is Code.INVALID_ARGUMENT


def test_the_catalogue_is_whole() -> None:
    kinds = errors.EtcdError.__subclasses__()
    assert len([kind for kind in kinds if kind.default_text.startswith(("etcdserver:", "auth:"))]) == 64
