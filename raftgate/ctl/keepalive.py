"""Renewing a lease again and again, as etcd's client does (etcd client/v3/lease.go)."""

from collections.abc import Callable, Iterator

import msgspec

from raftgate.api import json_codec
from raftgate.api.errors import Code, InvalidArgument
from raftgate.api.lease import LeaseKeepAliveRequest, LeaseKeepAliveResponse
from raftgate.ctl.client import PATHS, CallError, Client

_RETRY_PAUSE = 0.5
_FIRST_ANSWER = 1.0  # beyond the time for a connection


class _Line(msgspec.Struct):
    result: msgspec.Raw


def renew(client: Client, lease: int) -> LeaseKeepAliveResponse:
    """Renews a lease once; the answer's TTL is 0 if there is none.

    Raises: CallError.
    """
    body = json_codec.encode(LeaseKeepAliveRequest(ID=lease))
    answer = client.post(PATHS[LeaseKeepAliveRequest], body, is_read=True)
    try:
        line = msgspec.json.decode(answer, type=_Line)
        return json_codec.decode(LeaseKeepAliveResponse, bytes(line.result))
    except (msgspec.DecodeError, InvalidArgument) as error:
        raise CallError(Code.INTERNAL, f"malformed answer from server: {error}") from None


def renewals(client: Client, lease: int, pause: Callable[[float], bool | None]) -> Iterator[LeaseKeepAliveResponse]:
    """Renews a lease each third of its TTL; ends when it is gone, or must be since no server has answered.

    `pause` waits for so many seconds, and ends the renewals by returning True.
    """
    now = client.clock.monotonic
    deadline = now() + client.settings.dial_timeout + _FIRST_ANSWER
    while True:
        try:
            response = renew(client, lease)
        except CallError as error:
            client.note(f"lease {lease:016x}", error)
            if now() >= deadline or pause(_RETRY_PAUSE):
                return
            continue
        if response.TTL <= 0:
            return
        deadline = now() + response.TTL
        yield response
        if pause(response.TTL / 3):
            return
