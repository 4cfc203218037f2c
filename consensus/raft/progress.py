"""A member's log as its leader sees it, and how much may be on its way there (etcd-io/raft tracker/progress.go).

    PROBE ---- acknowledged ----> REPLICATE
      ^  <- refused, unreachable -'   |
      |                               | what it needs is no longer in the log (from PROBE too)
      '- store delivered or lost - SNAPSHOT

Arithmetic only: what is sent is decided in replication.py.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from consensus.raft.types import ProgressState, ProgressStatus


@dataclass(slots=True)
class Progress:
    """One member's log. Invariant: match < next, and what lies between has been sent or is being looked for."""

    next: int
    """The next index to send."""
    max_inflight: int
    match: int = 0
    """The highest index that is known to be durable there; it never goes back."""
    state: ProgressState = ProgressState.PROBE
    recent_active: bool = False
    """Whether it was heard since the last check of the quorum."""
    pending_snapshot: int = 0
    """SNAPSHOT: the index up to which the store on its way reaches."""
    sent_commit: int = 0
    """The commit index that it will know once all on its way has arrived."""
    is_probing: bool = False
    """PROBE: a message is on its way, or waits for the next sign of life."""
    is_poked: bool = False
    """Something is to be sent even if it is empty: its answer tells whether something was lost."""
    is_poke_due: bool = False
    """The next sign of life may poke: once a heartbeat interval, however many rounds of reads there are."""
    _inflight: deque[int] = field(default_factory=deque)
    """The last index of each message with entries that is not acknowledged."""

    @property
    def is_full(self) -> bool:
        """Whether no further message with entries may be sent ahead."""
        return len(self._inflight) >= self.max_inflight

    def wants(self, last: int, commit: int) -> bool:
        """Whether something is to be sent, when the leader's log ends at `last` and is committed up to `commit`."""
        if self.state is ProgressState.PROBE:
            return not self.is_probing and (self.next <= last or self.is_poked)
        if self.state is ProgressState.SNAPSHOT:
            return False
        if self.is_poked:
            return True
        return not self.is_full and (self.next <= last or min(commit, self.next - 1) > self.sent_commit)

    def sent(self, last: int, commit: int) -> None:
        """Takes note of a message with entries up to `last` (`next - 1`: none), and the leader's commit index."""
        self.is_poked = False
        if self.state is ProgressState.PROBE:
            self.is_probing = True
        elif last >= self.next:
            self.next = last + 1
            self._inflight.append(last)
        self.sent_commit = max(self.sent_commit, min(commit, last))

    def sent_heartbeat(self, commit: int) -> None:
        """Takes note of a heartbeat that says `commit`."""
        self.sent_commit = max(self.sent_commit, commit)
        self.is_poke_due = True

    def answered_heartbeat(self, last: int) -> None:
        """Takes a sign of life: a probe, or what was sent ahead, may have been lost, and is asked for."""
        self.recent_active = True
        if self.is_poke_due:
            self.is_poke_due = False
            self.is_probing = False
            self.is_poked = self.match < last

    def acknowledged(self, index: int, first: int) -> bool:
        """Takes note that its log is durable up to `index`; `first`: where the leader's begins.

        Returns whether that is news.
        """
        self.recent_active = True
        is_news = index > self.match
        if is_news:
            self.match = index
            self.next = max(self.next, index + 1)
        if self.state is ProgressState.REPLICATE:
            while self._inflight and self._inflight[0] <= index:
                self._inflight.popleft()
        elif self.state is ProgressState.PROBE:
            if index >= self.match:  # not an old answer: the logs agree up to here
                self._become_replicate()
        elif self.match + 1 >= first:  # the store has arrived, or is no longer needed
            self._become_replicate()
        return is_news

    def refused(self, index: int, hint: int) -> bool:
        """Goes back, because its log has no such entry before `index + 1`; `hint`: where the logs may agree.

        Returns False for an old answer, which says nothing.
        """
        self.recent_active = True
        if self.state is ProgressState.REPLICATE:
            if index <= self.match:
                return False
            self.become_probe()
            return True
        if self.state is ProgressState.SNAPSHOT or index != self.next - 1:
            return False
        self.next = max(min(index, hint + 1), self.match + 1)
        self.is_probing = False
        self.sent_commit = min(self.sent_commit, self.match)
        return True

    def become_probe(self) -> None:
        """Looks for where the logs agree: behind the store, if that was delivered."""
        self.next = max(self.match, self.pending_snapshot) + 1
        self._become(ProgressState.PROBE)
        self.sent_commit = min(self.sent_commit, self.match)

    def become_snapshot(self, index: int) -> None:
        """Waits for the store as of `index` to arrive."""
        self._become(ProgressState.SNAPSHOT)
        self.pending_snapshot = index

    def snapshot_sent(self, *, ok: bool) -> None:
        """Takes note that the store was delivered, or was not; goes on with the next sign of life."""
        if self.state is not ProgressState.SNAPSHOT:
            return
        if not ok:
            self.pending_snapshot = 0
        self.become_probe()
        self.is_probing = True

    def unreachable(self) -> None:
        """Takes note that a message was lost: nothing more is sent ahead before the logs are compared again."""
        if self.state is ProgressState.REPLICATE:
            self.become_probe()

    def status(self) -> ProgressStatus:
        """The same for others to look at."""
        return ProgressStatus(self.match, self.next, self.state, self.recent_active)

    def _become_replicate(self) -> None:
        self._become(ProgressState.REPLICATE)
        self.next = self.match + 1

    def _become(self, state: ProgressState) -> None:
        self.state = state
        self.pending_snapshot = 0
        self.is_probing = self.is_poked = False
        self._inflight.clear()


class ProgressView(Mapping[int, ProgressStatus]):
    """What `status` shows of a leader's members: made when looked at, since a status is asked for with each answer."""

    def __init__(self, progress: Mapping[int, Progress]) -> None:
        self._progress = progress

    def __getitem__(self, member: int) -> ProgressStatus:
        return self._progress[member].status()

    def __iter__(self) -> Iterator[int]:
        return iter(self._progress)

    def __len__(self) -> int:
        return len(self._progress)
