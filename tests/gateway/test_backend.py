import pytest

from gateway.backend import Backend
from raftgate.api.kv import RangeRequest, RangeResponse
from raftgate.api.message import Caller
from tests.fakes.backend import FakeBackend


@pytest.mark.anyio
async def test_the_answer_has_the_type_that_the_request_names() -> None:
    backend: Backend = FakeBackend()  # mypy checks that the double satisfies the Protocol
    response: RangeResponse = await backend.call(RangeRequest(key=b"a"), Caller())
    assert response.header is not None
