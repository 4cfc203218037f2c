"""A lease that lives as long as the verb that holds it (etcd client/v3/concurrency/session.go)."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from raftgate.api.lease import LeaseGrantRequest, LeaseRevokeRequest
from raftgate.ctl.client import CallError, Client
from raftgate.ctl.keepalive import renewals

DEFAULT_TTL = 60


class Session:
    """A lease, and word of its end."""

    def __init__(self, lease: int) -> None:
        self.lease = lease
        self._changed = threading.Condition()
        self._ended = False

    def end(self) -> None:
        """Wakes whoever waits for the end."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def has_ended(self, within: float | None = None) -> bool:
        """Waits for the end, at most so many seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: self._ended, within)


@contextmanager
def session(client: Client, ttl: int = DEFAULT_TTL) -> Iterator[Session]:
    """A lease of `ttl` seconds that a thread keeps alive; it is revoked at the end, with all that it still holds.

    Raises: CallError when none is granted.
    """
    held = Session(client.call(LeaseGrantRequest(TTL=ttl if ttl > 0 else DEFAULT_TTL)).ID)
    thread = threading.Thread(target=_keep_alive, args=(client, held), daemon=True)
    thread.start()
    try:
        yield held
    finally:
        held.end()
        try:
            client.call(LeaseRevokeRequest(ID=held.lease))
        except CallError as error:  # it ends by itself
            client.note(f"lease {held.lease:016x}", error)
        thread.join()


def _keep_alive(client: Client, held: Session) -> None:
    for _ in renewals(client, held.lease, held.has_ended):
        pass
    held.end()
