"""The vocabulary of the core: what goes in, what is kept, what comes out. Values only, no behaviour.

Names are etcd's (etcd-io/raft raftpb/raft.proto). The numbers of the enums and the order of the fields are final:
they are on disk and between members.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final, NamedTuple

NONE: Final = 0
"""No member: no vote was given, or no leader is known."""

TRANSFER: Final = b"transfer"
"""The context of a vote request that a leader has asked for (Raft thesis 3.10)."""


class EntryType(IntEnum):
    """What an entry's data is."""

    NORMAL = 0
    CONF_CHANGE = 1


class Entry(NamedTuple):
    """One entry of the log: (term, index) names it for all time and on all members (Raft 5.3, log matching).

    A named tuple, since entries are made at the rate of writes: half the cost of a frozen dataclass (0.17 us).
    """

    term: int
    index: int  # type: ignore[assignment] # shadows tuple.index(), which nobody misses
    type: EntryType
    data: bytes
    """What the driver proposed, or a ConfChange encoded; empty in the entry with which a leader opens its term."""


@dataclass(frozen=True, slots=True)
class ConfState:
    """Who takes part as of an applied index; both sorted, no id in both."""

    voters: tuple[int, ...] = ()
    learners: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class SnapshotMeta:
    """A state: all entries up to `index` (of `term`) applied. As cut marker: they are no longer in the log."""

    index: int = 0
    term: int = 0
    conf_state: ConfState = ConfState()


class MessageType(IntEnum):
    """Kinds of messages between members, with etcd's numbers; its other ones are local events, here method calls."""

    PROP = 2
    """Proposals that a follower forwards to its leader; of no term."""
    APP = 3
    APP_RESP = 4
    VOTE = 5
    VOTE_RESP = 6
    SNAP = 7
    """The store as of `snapshot`, which the driver streams beside the message; it is answered by an APP_RESP."""
    HEARTBEAT = 8
    HEARTBEAT_RESP = 9
    TRANSFER_LEADER = 13
    """A follower asks its leader to hand over to member `index`."""
    TIMEOUT_NOW = 14
    """The leader hands over: campaign at once."""
    READ_INDEX = 15
    """A follower's read, whose index the leader shall confirm; of no term."""
    READ_INDEX_RESP = 16
    PRE_VOTE = 17
    """Could the sender win an election of `term`? Nobody's term changes (Raft thesis 9.6)."""
    PRE_VOTE_RESP = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message between members; `sender` is etcd's `from`. Unused fields stay at their defaults."""

    type: MessageType
    to: int
    sender: int
    term: int
    """The sender's; 0 in PROP and READ_INDEX; in PRE_VOTE and its grant the one that the candidate would open."""
    log_term: int = 0
    """APP: the term of the entry before `entries`; (PRE_)VOTE: of the candidate's last; APP_RESP: of `reject_hint`."""
    index: int = 0
    """APP: the index before `entries`; (PRE_)VOTE: the candidate's last; APP_RESP: durable up to here, or the refused
    one; READ_INDEX_RESP: the confirmed one; TRANSFER_LEADER: the member that shall lead."""
    entries: tuple[Entry, ...] = ()
    """APP: what follows `index`; PROP: proposals, whose term and index are 0."""
    commit: int = 0
    reject: bool = False
    reject_hint: int = 0
    """Refused APP_RESP: the highest index at which the follower's log may match the leader's."""
    context: bytes = b""
    """HEARTBEAT and its answer: names the round of reads that it confirms; READ_INDEX and its answer: the read's own;
    (PRE_)VOTE: TRANSFER when a leader has handed over, so that its followers need not wait until it is silent."""
    snapshot: SnapshotMeta | None = None
    """SNAP: what the streamed store holds."""


@dataclass(frozen=True, slots=True)
class HardState:
    """What must survive a restart beside the entries (Raft figure 2); the commit index alone needs no sync."""

    term: int = 0
    vote: int = NONE
    commit: int = 0


class Role(StrEnum):
    """What a member is in its term."""

    FOLLOWER = "follower"
    PRE_CANDIDATE = "pre-candidate"
    """Asks whether it could win, before it opens a term (Raft thesis 9.6)."""
    CANDIDATE = "candidate"
    LEADER = "leader"


@dataclass(frozen=True, slots=True)
class SoftState:
    """What others may want to know and no one needs to keep."""

    leader: int = NONE
    role: Role = Role.FOLLOWER


@dataclass(frozen=True, slots=True)
class ReadState:
    """The answer to a read_index: whoever has applied `index` may serve the reads that `context` names."""

    index: int
    context: bytes


class ProgressState(StrEnum):
    """How a leader sends its log to a member."""

    PROBE = "probe"
    """It does not know where the logs agree: one message, then wait for the answer or a heartbeat."""
    REPLICATE = "replicate"
    """It sends ahead of the answers, up to a bound."""
    SNAPSHOT = "snapshot"
    """It waits for a store on its way: what the member needs next is no longer in the log."""


@dataclass(frozen=True, slots=True)
class ProgressStatus:
    """A member's log as its leader sees it."""

    match: int
    """The highest index that is known to be durable there."""
    next: int
    """The next index to send."""
    state: ProgressState
    recent_active: bool
    """Whether it was heard since the last check of the quorum."""


class ConfChangeType(IntEnum):
    """What happens to a member, with etcd's numbers."""

    ADD_NODE = 0
    """A new voter, or the promotion of a learner."""
    REMOVE_NODE = 1
    UPDATE_NODE = 2
    """New addresses, in the context: nothing that the core counts."""
    ADD_LEARNER_NODE = 3


@dataclass(frozen=True, slots=True)
class ConfChange:
    """One membership change of one member (Raft thesis 4.1)."""

    type: ConfChangeType
    node_id: int
    context: bytes = b""
    """The driver's own: kept with the change and never looked into."""


@dataclass(frozen=True, slots=True)
class Ready:
    """All that the core wants done, once; see RawNode for the order."""

    soft_state: SoftState | None
    """Set when it has changed."""
    hard_state: HardState | None
    """Set when it has changed: to be persisted together with `entries`."""
    entries: list[Entry]
    """To be persisted; the first may overwrite: what the log held from its index on is void."""
    committed_entries: list[Entry]
    """To be applied, in this order. They are durable here already, so that `entries` may be synced meanwhile."""
    messages: list[Message]
    """May leave at once."""
    messages_after_append: list[Message]
    """Promises: may leave only once `hard_state` and `entries` are durable."""
    read_states: list[ReadState]
    must_sync: bool
    """Whether persisting needs a sync: entries, term or vote have changed."""
    snapshot: SnapshotMeta | None = None
    """Set when the store of a SNAP takes the place of the present one: before anything else of this Ready the driver
    switches to it and begins the log anew behind `snapshot.index`. There are no committed entries beside it."""
