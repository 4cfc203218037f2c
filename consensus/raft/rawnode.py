"""The only door to the core (etcd-io/raft rawnode.go): inputs at any time, and one Ready at a time out of it.

The driver's loop, the same for one member and for many:

    ready = node.ready()
    switch to the store and begin the log anew, if there is a ready.snapshot
    start to persist ready.hard_state and ready.entries in one, with a sync if ready.must_sync
    send ready.messages; tell of ready.soft_state and ready.read_states
    apply ready.committed_entries, changes of membership through apply_conf_change()
    wait until the persisting is done; send ready.messages_after_append
    node.advance(ready)

Inputs may come between ready() and advance(); what they cause is in the next Ready. This member's own vote and its
own acknowledgement are given in advance(), when they are durable: only then can they make a quorum (Raft 5.2, 5.3).

A SNAP among the messages names a state only: the driver streams a store that holds at least that, sends the message
with what the store really holds, and says with report_snapshot() how it went. The receiving driver steps the message
when the store is durable; whether it is wanted still, Ready.snapshot tells. Contexts of reads must never be used
twice, also not after a restart: a late answer would serve the wrong read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from consensus.raft import candidate, confchange, follower, leader, replication
from consensus.raft.errors import LogCorrupt, OutOfTurn
from consensus.raft.log_store import LogStore
from consensus.raft.progress import ProgressView
from consensus.raft.raft import Behaviour, Config, Raft
from consensus.raft.read_index import Read
from consensus.raft.types import (
    NONE,
    ConfChange,
    ConfState,
    Entry,
    EntryType,
    Message,
    MessageType,
    ProgressStatus,
    Ready,
    Role,
    SnapshotMeta,
)

__all__ = ["Config", "RawNode", "Status"]

_ROLES: Final[dict[Role, Behaviour]] = {
    Role.FOLLOWER: follower,
    Role.PRE_CANDIDATE: candidate,
    Role.CANDIDATE: candidate,
    Role.LEADER: leader,
}

_ANSWERS: Final = frozenset(
    {MessageType.APP_RESP, MessageType.VOTE_RESP, MessageType.PRE_VOTE_RESP, MessageType.HEARTBEAT_RESP}
)

_NO_PROGRESS: Final[Mapping[int, ProgressStatus]] = {}


@dataclass(frozen=True, slots=True)
class Status:
    """A member at a glance."""

    id: int
    term: int
    leader: int
    role: Role
    commit: int
    applied: int
    last_index: int
    transferee: int = NONE
    """The member to which this leader is handing over."""
    progress: Mapping[int, ProgressStatus] = field(default_factory=dict)
    """On a leader: each member's log, its own among them, as of when it is looked at."""


class RawNode:
    """One member's core: not for several threads, never waiting."""

    def __init__(self, config: Config, store: LogStore) -> None:
        """Takes up where the store ends.

        Raises: LogCorrupt.
        """
        self._config = config
        self._raft = Raft(config, store, _ROLES)
        self._soft_state = self._raft.soft_state()
        self._hard_state = store.initial_state()
        self._outstanding: Ready | None = None
        self._own: list[Message] = []
        """Messages of the outstanding Ready to this member itself."""

    @property
    def id(self) -> int:
        """Whose core this is."""
        return self._raft.id

    @property
    def term(self) -> int:
        """The current term."""
        return self._raft.term

    @property
    def snapshot(self) -> SnapshotMeta | None:
        """Of which SNAP the store is to take the place of the present one; None once that is done."""
        return self._raft.log.snapshot

    def bootstrap(self, changes: Sequence[ConfChange]) -> None:
        """Begins the log of a new cluster: the same entries on each of its members, committed by that agreement.

        They come out as committed entries like any others; before they are applied nobody campaigns
        (etcd-io/raft bootstrap.go).

        Raises: LogCorrupt (there is a log already).
        """
        raft = self._raft
        if raft.term or raft.log.last_index:
            raise LogCorrupt(f"a log of term {raft.term} up to {raft.log.last_index} cannot begin anew")
        raft.become_follower(1, NONE)
        raft.append(EntryType.CONF_CHANGE, map(confchange.encode, changes))
        raft.log.commit_to(len(changes))

    def campaign(self) -> None:
        """Opens an election at once, or with the first tick after what is committed is applied; no learner does."""
        if self._raft.role is not Role.LEADER:
            candidate.campaign(self._raft)

    def tick(self) -> None:
        """Moves the clock on by one tick."""
        self._raft.tick()

    @property
    def is_changing(self) -> bool:
        """Whether this member leads and takes no membership change, since one before may not be applied yet."""
        raft = self._raft
        return raft.role is Role.LEADER and raft.log.applied < raft.pending_conf_index

    def step(self, message: Message) -> None:
        """Takes a message from another member.

        Raises: LogCorrupt.
        """
        raft = self._raft
        if message.type in _ANSWERS and message.sender not in (*raft.conf.voters, *raft.conf.learners):
            raft.trace(f"drops {message.type.name} of {message.sender:x}, which is no member")
            return
        raft.step(message)

    def propose(self, data: Sequence[bytes]) -> None:
        """Appends one entry for each of `data`, all of them or none; a follower passes them on to its leader.

        Passed on they may get lost or be refused without a word.
        Raises: NotLeader, TransferUnderWay, TooMuchUncommitted.
        """
        raft = self._raft
        if raft.role is Role.LEADER:
            leader.propose(raft, data)
        else:
            follower.forward(raft, [Entry(0, 0, EntryType.NORMAL, item) for item in data])

    def propose_conf_change(self, change: ConfChange) -> None:
        """Appends a membership change, or passes it on; its entry's data is confchange.encode(change).

        Raises: NotLeader, TransferUnderWay, ConfChangePending, ConfChangeRefused.
        """
        raft = self._raft
        if raft.role is Role.LEADER:
            leader.propose_conf_change(raft, change)
        else:
            follower.forward(raft, [Entry(0, 0, EntryType.CONF_CHANGE, confchange.encode(change))])

    def apply_conf_change(self, change: ConfChange) -> ConfState:
        """Makes a committed membership change count, and returns who takes part from now on.

        Raises: ConfChangeRefused.
        """
        raft = self._raft
        raft.conf = confchange.apply(raft.conf, change)
        raft.trace(f"applied {change.type.name} of {change.node_id:x}: voters {_ids(raft.conf.voters)}")
        if raft.role is Role.LEADER:
            leader.reconfigured(raft)
        return raft.conf

    def read_index(self, context: bytes) -> bool:
        """Asks for an index that is safe to read at, or lets the leader ask; it comes as a ReadState with this context.

        Returns False when no leader is known: the question is not kept, ask again later. A question is forgotten when
        leadership is lost, and may get lost on its way to the leader.
        """
        raft = self._raft
        if raft.role is not Role.LEADER:
            return follower.read_index(raft, context)
        leader.read_index(raft, Read(raft.id, context))
        return True

    def transfer_leader(self, transferee: int) -> None:
        """Hands leadership over to a voter, or asks the leader to; given up after one election timeout."""
        if self._raft.role is Role.LEADER:
            leader.transfer_leader(self._raft, transferee)
        else:
            follower.transfer_leader(self._raft, transferee)

    def report_unreachable(self, member: int) -> None:
        """Takes note that a message to a member was lost: its log is probed again before more is sent ahead."""
        if member in self._raft.progress:
            self._raft.progress[member].unreachable()

    def report_snapshot(self, member: int, *, ok: bool) -> None:
        """Takes note that the store for a member was delivered, or was not: sending goes on."""
        if member in self._raft.progress:
            self._raft.progress[member].snapshot_sent(ok=ok)

    def take_messages(self) -> list[Message]:
        """The messages that may leave at once, also while a Ready is outstanding; they are in no Ready then.

        So heartbeats and the answers to them go on while a disk is slow.
        """
        self._flush()
        messages, self._raft.messages = self._raft.messages, []
        return messages

    def has_ready(self) -> bool:
        """Whether ready() would hold anything; never while a Ready is outstanding."""
        raft = self._raft
        if self._outstanding is not None:
            return False
        return (
            raft.log.has_unstable()
            or raft.log.has_next_committed()
            or raft.log.snapshot is not None
            or bool(raft.messages or raft.messages_after_append or raft.read_states or raft.forwards)
            or replication.is_due(raft)
            or raft.soft_state() != self._soft_state
            or raft.hard_state() != self._hard_state
        )

    def ready(self) -> Ready:
        """Hands out all that is to be done; advance() must follow before the next.

        Raises: OutOfTurn.
        """
        if self._outstanding is not None:
            raise OutOfTurn("a Ready is outstanding: advance first")
        self._flush()
        raft = self._raft
        soft_state, hard_state = raft.soft_state(), raft.hard_state()
        entries = raft.log.unstable_entries()
        promised = (hard_state.term, hard_state.vote) != (self._hard_state.term, self._hard_state.vote)
        self._own = [message for message in raft.messages_after_append if message.to == raft.id]
        if entries and raft.role is Role.LEADER:
            self._own.append(self._own_acknowledgement(entries[-1]))
        ready = Ready(
            soft_state=soft_state if soft_state != self._soft_state else None,
            hard_state=hard_state if hard_state != self._hard_state else None,
            entries=entries,
            committed_entries=raft.log.next_committed(self._config.max_committed_bytes),
            messages=raft.messages,
            messages_after_append=[message for message in raft.messages_after_append if message.to != raft.id],
            read_states=raft.read_states,
            must_sync=promised or bool(entries) or raft.log.snapshot is not None,
            snapshot=raft.log.snapshot,
        )
        raft.messages, raft.messages_after_append, raft.read_states = [], [], []
        self._soft_state, self._hard_state = soft_state, hard_state
        self._outstanding = ready
        return ready

    def advance(self, ready: Ready) -> None:
        """Takes note that a Ready is done: its hard state and entries durable, its committed entries applied.

        Raises: OutOfTurn.
        """
        if ready is not self._outstanding:
            raise OutOfTurn("this Ready is not the outstanding one")
        self._outstanding = None
        raft = self._raft
        if ready.snapshot is not None:
            raft.restored(ready.snapshot)
        if ready.entries:
            raft.log.stable_to(ready.entries[-1].index, ready.entries[-1].term)
        if ready.committed_entries:
            size = sum([len(entry.data) for entry in ready.committed_entries])
            raft.applied_to(ready.committed_entries[-1].index, size)
        own, self._own = self._own, []
        for message in own:
            raft.step(message)
        candidate.retry(raft)

    def status(self) -> Status:
        """The member at a glance."""
        raft = self._raft
        log = raft.log
        progress = ProgressView(raft.progress) if raft.progress else _NO_PROGRESS
        return Status(
            id=raft.id,
            term=raft.term,
            leader=raft.leader,
            role=raft.role,
            commit=log.commit,
            applied=log.applied,
            last_index=log.last_index,
            transferee=raft.transferee,
            progress=progress,
        )

    def _flush(self) -> None:
        if self._raft.role is Role.LEADER:
            replication.flush(self._raft)
        elif self._raft.forwards:
            follower.flush(self._raft)

    def _own_acknowledgement(self, last: Entry) -> Message:
        """What this leader will say of its own log, as a follower would of an append."""
        raft = self._raft
        kind = MessageType.APP_RESP
        return Message(type=kind, to=raft.id, sender=raft.id, term=raft.term, index=last.index)


def _ids(members: Sequence[int]) -> str:
    return "(" + " ".join(f"{member:x}" for member in members) + ")"
