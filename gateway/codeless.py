"""A backend as etcd's own services see theirs: through a client that keeps the texts of errors and loses their codes.

Hence code 2 and HTTP 500 where other calls have codes of their own; retry logic keys on the texts.
"""

from gateway.backend import Backend, WatchStream
from raftgate.api.errors import Canceled, DeadlineExceeded, EtcdError, NoLeader, Stopped
from raftgate.api.message import Caller, R, Request

_KEPT = (Canceled, DeadlineExceeded, Stopped)  # not answers of a server


class Codeless:
    """A backend whose refusals are of code 2."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def call(self, request: Request[R], caller: Caller) -> R:
        """Answers one request.

        Raises: EtcdError with the text of the backend's error.
                DeadlineExceeded where no leader is known.
        """
        try:
            return await self._backend.call(request, caller)
        except EtcdError as error:
            raise without_code(error) from error

    async def watch(self, caller: Caller) -> WatchStream:
        """Opens a stream of watches.

        Raises: as `call`.
        """
        try:
            return await self._backend.watch(caller)
        except EtcdError as error:
            raise without_code(error) from error


def without_code(error: EtcdError) -> EtcdError:
    """What remains of an error."""
    if isinstance(error, NoLeader):  # that client tries again until its time is up
        return DeadlineExceeded()
    return error if isinstance(error, _KEPT) else EtcdError(error.text)
