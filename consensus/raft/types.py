"""The vocabulary of the core: what goes in, what is kept, what comes out. Values only, no behaviour.

Names are etcd's (etcd-io/raft raftpb/raft.proto). The numbers of the enums and the order of the fields are final:
they are on disk and between members.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final, NamedTuple

NONE: Final = 0
"""No member: no vote was given, or no leader is known."""


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


class MessageType(IntEnum):
    """Kinds of messages between members, with etcd's numbers.

    Reserved for what the cluster adds: PROP 2, SNAP 7, UNREACHABLE 10, SNAP_STATUS 11, TRANSFER_LEADER 13,
    TIMEOUT_NOW 14, READ_INDEX 15, READ_INDEX_RESP 16, PRE_VOTE 17, PRE_VOTE_RESP 18. etcd's other numbers are
    local events, which are method calls here.
    """

    APP = 3
    APP_RESP = 4
    VOTE = 5
    VOTE_RESP = 6
    HEARTBEAT = 8
    HEARTBEAT_RESP = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message between members; `sender` is etcd's `from`. Unused fields stay at their defaults."""

    type: MessageType
    to: int
    sender: int
    term: int
    log_term: int = 0
    """APP: the term of the entry before `entries`; VOTE: of the candidate's last entry; APP_RESP: of `reject_hint`."""
    index: int = 0
    """APP: the index before `entries`; VOTE: the candidate's last; APP_RESP: durable up to here, or the refused one."""
    entries: tuple[Entry, ...] = ()
    commit: int = 0
    reject: bool = False
    reject_hint: int = 0
    """Refused APP_RESP: the highest index at which the follower's log may match the leader's."""
    context: bytes = b""
    """HEARTBEAT and its answer: names the round of reads that it confirms."""


@dataclass(frozen=True, slots=True)
class HardState:
    """What must survive a restart beside the entries (Raft figure 2); the commit index alone needs no sync."""

    term: int = 0
    vote: int = NONE
    commit: int = 0


class Role(StrEnum):
    """What a member is in its term."""

    FOLLOWER = "follower"
    CANDIDATE = "candidate"
    LEADER = "leader"


@dataclass(frozen=True, slots=True)
class SoftState:
    """What others may want to know and no one needs to keep."""

    leader: int = NONE
    role: Role = Role.FOLLOWER


@dataclass(frozen=True, slots=True)
class ConfState:
    """Who takes part as of an applied index; both sorted, no id in both."""

    voters: tuple[int, ...] = ()
    learners: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class SnapshotMeta:
    """The cut marker: everything up to `index` (of `term`) is no longer in the log."""

    index: int = 0
    term: int = 0
    conf_state: ConfState = ConfState()


@dataclass(frozen=True, slots=True)
class ReadState:
    """The answer to a read_index: whoever has applied `index` may serve the reads that `context` names."""

    index: int
    context: bytes


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
