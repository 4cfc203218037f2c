import pytest

from gateway.codeless import Codeless
from raftgate.api import errors
from raftgate.api.errors import Code, EtcdError
from raftgate.api.kv import PutRequest
from raftgate.api.message import Caller
from raftgate.api.watch import WatchRequest
from tests.fakes.keys import KeyBackend

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (errors.LeaseNotFound(), 2, "etcdserver: requested lease not found"),
        (errors.EmptyKey(), 2, "etcdserver: key is not provided"),
        (errors.NoSpace(), 2, "etcdserver: mvcc: database space exceeded"),
        (errors.PermissionDenied(), 2, "etcdserver: permission denied"),
        (errors.UserEmpty(), 2, "etcdserver: user name is empty"),
        (errors.Timeout(), 2, "etcdserver: request timed out"),
        (errors.NoLeader(), 4, "context deadline exceeded"),
        (errors.DeadlineExceeded(), 4, "context deadline exceeded"),
        (errors.Stopped(), 14, "etcdserver: server stopped"),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_codes_get_lost(error: EtcdError, code: int, text: str) -> None:
    backend = KeyBackend()
    backend.failures[PutRequest] = error
    with pytest.raises(EtcdError) as caught:
        await Codeless(backend).call(PutRequest(key=b"a"), Caller())
    assert (caught.value.code, caught.value.text) == (Code(code), text)


async def test_answers_pass() -> None:
    backend = KeyBackend()
    response = await Codeless(backend).call(PutRequest(key=b"a"), Caller())
    assert response.header == backend.header()


async def test_a_refused_stream() -> None:
    backend = KeyBackend()
    backend.failures[WatchRequest] = errors.PermissionDenied()
    with pytest.raises(EtcdError) as caught:
        await Codeless(backend).watch(Caller())
    assert (caught.value.code, caught.value.text) == (Code.UNKNOWN, "etcdserver: permission denied")
