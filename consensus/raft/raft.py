"""One member's Raft state, and what holds in every role: terms, votes, the election clock, changes of role.

leader.py, candidate.py and follower.py hold what only one role does; this module does not know them, they are handed
in.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from consensus.raft.log import Log
from consensus.raft.log_store import LogStore
from consensus.raft.progress import Progress
from consensus.raft.read_index import ReadIndex
from consensus.raft.types import (
    NONE,
    TRANSFER,
    ConfState,
    Entry,
    EntryType,
    HardState,
    Message,
    MessageType,
    ReadState,
    Role,
    SnapshotMeta,
    SoftState,
)

MAX_UNCOMMITTED_BYTES: Final = 64 << 20
MAX_COMMITTED_BYTES: Final = 4 << 20
MAX_INFLIGHT: Final = 256
MAX_MESSAGE_BYTES: Final = 1 << 20

FROM_LEADERS: Final = frozenset({MessageType.APP, MessageType.HEARTBEAT, MessageType.SNAP, MessageType.TIMEOUT_NOW})
"""Only the leader of a term sends these."""
_VOTES: Final = frozenset({MessageType.VOTE, MessageType.PRE_VOTE})
_WITHOUT_TERM: Final = frozenset({MessageType.PROP, MessageType.READ_INDEX})
"""Whoever leads may take these; a forwarding member that is a term behind or ahead does no harm."""
_ANSWERS: Final = {
    MessageType.APP: MessageType.APP_RESP,
    MessageType.HEARTBEAT: MessageType.APP_RESP,
    MessageType.SNAP: MessageType.APP_RESP,
    MessageType.VOTE: MessageType.VOTE_RESP,
    MessageType.PRE_VOTE: MessageType.PRE_VOTE_RESP,
}
"""What refuses a request of an old term."""

_NOBODY: Final = ConfState()


def _silent(_line: str) -> None:
    """Takes trace lines when nobody wants them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What a member is told at its start."""

    id: int
    random: Callable[[], float]
    """A number in [0, 1), for election timeouts; never used for anything else."""
    election_ticks: int = 10
    """A follower that hears from no leader campaigns after a random number of ticks in [1x, 2x) of this."""
    heartbeat_ticks: int = 1
    applied: int = 0
    """The index that the state machine has reached durably: nothing up to it is applied again."""
    conf_state: ConfState = _NOBODY
    """Who takes part as of `applied`; empty before the bootstrap entries are applied."""
    max_uncommitted_bytes: int = MAX_UNCOMMITTED_BYTES
    """Above this sum of data not yet applied a leader drops proposals; one alone is always taken."""
    max_committed_bytes: int = MAX_COMMITTED_BYTES
    """Bound of the data in one Ready's committed entries; a larger entry comes alone."""
    pre_vote: bool = True
    """Ask whether an election could be won before opening one, so that whoever comes back deposes nobody."""
    check_quorum: bool = True
    """A leader not heard by a quorum within an election timeout steps down; votes are refused while one is heard."""
    max_inflight: int = MAX_INFLIGHT
    """Messages with entries sent to one member and not yet acknowledged."""
    max_message_bytes: int = MAX_MESSAGE_BYTES
    """Bound of the data in one message; a larger entry goes alone."""
    trace: Callable[[str], None] = _silent
    """Takes a line for each turn of events; never a proposal's content."""

    def __post_init__(self) -> None:
        """Raises: ValueError."""
        if self.id == NONE:
            raise ValueError("a member's id cannot be 0")
        if not 0 < self.heartbeat_ticks < self.election_ticks:
            raise ValueError("heartbeat_ticks must be above 0 and below election_ticks")


class Behaviour(Protocol):
    """What is particular to a role; leader.py, candidate.py and follower.py are each one."""

    def step(self, raft: "Raft", message: Message, /) -> None:
        """Takes a message of the current term, or of none, other than a request for a vote."""
        ...

    def tick(self, raft: "Raft", /) -> None:
        """Takes a step of the clock."""
        ...


class Raft:
    """The fields of one member, and the moves that change them."""

    def __init__(self, config: Config, store: LogStore, roles: Mapping[Role, Behaviour]) -> None:
        """Starts as a follower, with the term and vote that were promised before (Raft 5.2, figure 2).

        Raises: LogCorrupt.
        """
        saved = store.initial_state()
        self.config = config
        self._roles = roles
        self.id = config.id
        self.trace = config.trace
        self.log = Log(store, config.applied)
        self.term = saved.term
        self.vote = saved.vote
        self.role = Role.FOLLOWER
        self.leader = NONE
        self.conf = self.applied_conf = config.conf_state
        # What is waiting for the next Ready.
        self.messages: list[Message] = []
        self.messages_after_append: list[Message] = []
        self.read_states: list[ReadState] = []
        # What lasts a term at most; see _reset.
        self.election_elapsed = 0
        self.election_timeout = 0
        self.heartbeat_elapsed = 0
        self.forwards: list[Entry] = []
        self.votes: dict[int, bool] = {}
        self.progress: dict[int, Progress] = {}
        self.transferee = NONE
        self.is_called = False
        self.reads = ReadIndex()
        self.uncommitted_bytes = 0
        self.pending_conf_index = 0
        self._reset(self.term)

    def hard_state(self) -> HardState:
        """What must survive a restart."""
        return HardState(self.term, self.vote, self.log.commit)

    def soft_state(self) -> SoftState:
        """Leader and role."""
        return SoftState(self.leader, self.role)

    @property
    def is_voter(self) -> bool:
        """Whether this member may campaign: a learner may not, nor one that no configuration names."""
        return self.id in self.conf.voters

    # Input

    def step(self, message: Message) -> None:
        """Takes a message: first the rules on terms, then what the role does (Raft 5.1).

        Raises: LogCorrupt.
        """
        if message.type in _WITHOUT_TERM:
            pass
        elif message.term > self.term:
            if message.type in _VOTES and self._keeps_its_leader(message):
                return
            self._meet_later_term(message)
        elif message.term < self.term:
            self._refuse_stale(message)
            return
        if message.type in _VOTES:
            self._answer_vote(message)
        else:
            self._roles[self.role].step(self, message)

    def tick(self) -> None:
        """Takes a step of the clock."""
        self._roles[self.role].tick(self)

    def election_due(self) -> bool:
        """Counts a tick without a word from a leader; whether it is time to campaign (Raft 5.2)."""
        self.election_elapsed += 1
        return self.is_voter and self.election_elapsed >= self.election_timeout

    def _keeps_its_leader(self, message: Message) -> bool:
        """Whether a request for a vote is not even looked at, because a leader is heard (Raft 6, thesis 4.2.3).

        A leader hears itself for as long as a quorum hears it. One that hands over has asked for the request.
        """
        is_heard = self.leader != NONE and self.election_elapsed < self.config.election_ticks
        if not (self.config.check_quorum and is_heard) or message.context == TRANSFER:
            return False
        self.trace(
            f"ignores {message.type.name} of {message.sender:x} at term {message.term}: it hears {self.leader:x}"
        )
        return True

    def _meet_later_term(self, message: Message) -> None:
        """Takes a later term over (Raft 5.1), unless nobody has opened it yet (Raft thesis 9.6)."""
        is_asked = message.type is MessageType.PRE_VOTE
        is_granted = message.type is MessageType.PRE_VOTE_RESP and not message.reject
        if not is_asked and not is_granted:
            self.trace(f"{message.type.name} of {message.sender:x} raises the term from {self.term} to {message.term}")
            self.become_follower(message.term, message.sender if message.type in FROM_LEADERS else NONE)

    def _refuse_stale(self, message: Message) -> None:
        """Tells the sender of an older term of the present one, so that it steps down (Raft 5.1)."""
        self.trace(f"{message.type.name} of {message.sender:x} is of the old term {message.term}, now {self.term}")
        if message.type in _ANSWERS:
            kind = _ANSWERS[message.type]
            self.promise(Message(type=kind, to=message.sender, sender=self.id, term=self.term, reject=True))

    def _answer_vote(self, message: Message) -> None:
        """Votes once in a term, first come first served, for a log at least as up to date (Raft 5.2, 5.4.1).

        A learner votes too when asked: it may have been promoted and not know yet (etcd-io/raft raft.go, Step).
        """
        is_pre_vote = message.type is MessageType.PRE_VOTE
        # Whoever follows a leader of this term refuses: the term needs no second one.
        is_free = self.vote == message.sender or (self.vote == NONE and self.leader == NONE)
        is_free = is_free or (is_pre_vote and message.term > self.term)  # that binds nobody
        granted = is_free and self.log.is_up_to_date(message.index, message.log_term)
        self.trace(
            f"{'votes for' if granted else 'refuses its vote to'} {message.sender:x} at term {message.term} with log "
            f"{message.log_term}/{message.index}; own log {self.log.last_term}/{self.log.last_index}, "
            f"vote {self.vote:x}, leader {self.leader:x}"
        )
        if granted and not is_pre_vote:
            self.vote = message.sender
            self.election_elapsed = 0
        kind = _ANSWERS[message.type]
        # A grant is of the term that was asked about, or the candidate would take it for an old one.
        term = message.term if granted else self.term
        self.promise(Message(type=kind, to=message.sender, sender=self.id, term=term, reject=not granted))

    # Output

    def promise(self, message: Message) -> None:
        """Queues a message that may leave only once all that is pending is durable (Raft 5.2, 5.3).

        Sent to the member itself it comes back through step() once that is so: thus its own vote counts.
        """
        self.messages_after_append.append(message)

    def append(self, kind: EntryType, data: Iterable[bytes]) -> None:
        """Appends entries of the present term, as only its leader may."""
        term = self.term
        self.log.append([Entry(term, index, kind, item) for index, item in enumerate(data, self.log.last_index + 1)])

    def restored(self, snapshot: SnapshotMeta) -> None:
        """Notes that the state machine and the log are now those of a snapshot; its members count from now on."""
        self.log.restored(snapshot)
        self.conf = self.applied_conf = snapshot.conf_state

    def applied_to(self, index: int, size: int) -> None:
        """Notes that the state machine has applied the entries up to `index`; `size`: the sum of their data."""
        self.log.applied_to(index)
        self.applied_conf = self.conf
        # Entries of earlier terms were never counted, hence the bound.
        self.uncommitted_bytes = max(0, self.uncommitted_bytes - size)

    # Changes of role

    def become_follower(self, term: int, leader: int) -> None:
        """Follows `leader`, or nobody yet, in `term`."""
        self._reset(term)
        self.role = Role.FOLLOWER
        self.leader = leader
        self.trace(f"follows {leader:x} at term {term}" if leader else f"is a follower without a leader at term {term}")

    def become_pre_candidate(self) -> None:
        """Asks whether it could win; term and vote stay as they are (Raft thesis 9.6)."""
        self._reset(self.term)
        self.role = Role.PRE_CANDIDATE
        self.trace(f"is a pre-candidate at term {self.term}")

    def become_candidate(self) -> None:
        """Opens the next term and votes for itself in it (Raft 5.2)."""
        self._reset(self.term + 1)
        self.role = Role.CANDIDATE
        self.vote = self.id
        self.trace(f"is a candidate at term {self.term}")

    def become_leader(self) -> None:
        """Leads the present term and opens it with an empty entry.

        Only an entry of its own term tells a leader by count what is committed; all before follow with it
        (Raft 5.4.2, 8).
        """
        self._reset(self.term)
        self.role = Role.LEADER
        self.leader = self.id
        # Any entry not yet applied may be a membership change: until all are, no further one (etcd-io/raft raft.go).
        self.pending_conf_index = self.log.last_index
        self.append(EntryType.NORMAL, (b"",))
        self.trace(f"leads at term {self.term}, from index {self.log.last_index} on")

    def _reset(self, term: int) -> None:
        """Forgets what belonged to the role; a vote is forgotten only with its term (Raft 5.2)."""
        if term != self.term:
            self.term = term
            self.vote = NONE
        self.leader = NONE
        self.election_elapsed = 0
        # Random, so that votes are rarely split, and anew each time, so that a split does not repeat (Raft 5.2).
        ticks = self.config.election_ticks
        self.election_timeout = ticks + int(self.config.random() * ticks)
        self.heartbeat_elapsed = 0
        self.forwards = []
        self.votes = {}
        self.progress = {}
        self.transferee = NONE
        self.is_called = False
        self.reads = ReadIndex()
        self.uncommitted_bytes = 0
        self.pending_conf_index = 0
