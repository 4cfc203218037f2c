"""Clients and watchers around whatever is done to a cluster, and all that must hold behind it."""

from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager

from tests.e2e import watch_log
from tests.e2e.cluster import Cluster
from tests.e2e.history import Clients
from tests.e2e.watch_log import WatchLog

BEFORE = 30
AFTER = 60
"""Calls that are answered before anything is done to the cluster, and when it is over."""


@contextmanager
def load(
    cluster: Cluster, prefix: str, *, elsewhere: Collection[int] = (), pause: float = 0.0
) -> Iterator[tuple[Clients, list[WatchLog]]]:
    """Has clients and a watch on each member meanwhile; then checks what they were told, and that the stores are equal.

    `elsewhere`: the revisions of what else was written, which the watches do not see; `pause`: of each client, seconds.
    """
    cluster.recover()
    first = cluster.settle(f"{prefix}-begin") + 1
    logs = [WatchLog(member, prefix.encode(), first) for member in cluster.members]
    with ExitStack() as stack:
        for log in logs:
            stack.enter_context(log)
        for log in logs:
            log.wait_until_open()
        with Clients(cluster.members, prefix, pause=pause) as running:
            running.go_on(BEFORE)
            yield running, logs
            cluster.recover()
            running.go_on(AFTER)
            logs[:] = [log for log in logs if log.member in cluster.members]  # others have left, and tell no more
        last = cluster.settle(f"{prefix}-end")
        for log in logs:
            log.wait_for(last)
    watch_log.check(logs, running.history, set(range(first, last + 1)).difference(elsewhere))
    running.history.check()
