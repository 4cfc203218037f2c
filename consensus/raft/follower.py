"""What a follower does: takes entries and commit index, campaigns after silence (Raft 5.2, 5.3).

What only a leader can do it passes on, once; it keeps nothing of that.
"""

from collections.abc import Callable, Mapping
from typing import Final

from consensus.raft import candidate
from consensus.raft.errors import NotLeader
from consensus.raft.raft import FROM_LEADERS, Raft
from consensus.raft.types import NONE, Entry, Message, MessageType, ReadState


def step(raft: Raft, message: Message) -> None:
    """Takes what the leader of this term sends.

    Raises: LogCorrupt.
    """
    if message.type in FROM_LEADERS:
        raft.election_elapsed = 0
        raft.leader = message.sender
    take = _TAKERS.get(message.type)
    if take is not None:
        take(raft, message)


def tick(raft: Raft) -> None:
    """Campaigns when no leader was heard for the election timeout (Raft 5.2)."""
    if raft.election_due():
        candidate.campaign(raft)


def forward(raft: Raft, entries: list[Entry]) -> None:
    """Lets proposals go to the leader with the next `flush`; they are lost if its term ends before.

    Raises: NotLeader.
    """
    if raft.leader == NONE:
        raise NotLeader(f"{raft.id:x} is a {raft.role} at term {raft.term} and knows no leader")
    raft.forwards += entries


def flush(raft: Raft) -> None:
    """Sends the proposals that have gathered to the leader, as few messages as their size allows."""
    gathered, raft.forwards = raft.forwards, []
    start = size = 0
    for position, entry in enumerate(gathered):
        if size and size + len(entry.data) > raft.config.max_message_bytes:
            _forward(raft, gathered[start:position])
            start, size = position, 0
        size += len(entry.data)
    _forward(raft, gathered[start:])


def read_index(raft: Raft, context: bytes) -> bool:
    """Asks the leader for an index that is safe to read at; False when none is known."""
    if raft.leader == NONE:
        raft.trace("drops a read index: it knows no leader")
        return False
    kind = MessageType.READ_INDEX
    raft.messages.append(Message(type=kind, to=raft.leader, sender=raft.id, term=0, context=context))
    return True


def transfer_leader(raft: Raft, transferee: int) -> None:
    """Asks the leader to hand over."""
    if raft.leader == NONE:
        raft.trace(f"asks nobody to hand over to {transferee:x}: it knows no leader")
        return
    kind = MessageType.TRANSFER_LEADER
    raft.messages.append(Message(type=kind, to=raft.leader, sender=raft.id, term=raft.term, index=transferee))


def _forward(raft: Raft, entries: list[Entry]) -> None:
    kind = MessageType.PROP
    raft.messages.append(Message(type=kind, to=raft.leader, sender=raft.id, term=0, entries=tuple(entries)))


def _append(raft: Raft, message: Message) -> None:
    """Appends what follows an entry that this log has, or says where the logs may agree (Raft 5.3)."""
    log = raft.log
    if message.index < log.commit:  # an old message: up to the commit index the logs agree already
        _answer(raft, message, index=log.commit)
        return
    last = log.maybe_append(message.index, message.log_term, message.entries)
    if last is None:
        hint, term = log.possible_match(message.index, message.log_term, log.commit)
        raft.trace(
            f"refuses entries of {message.sender:x} behind {message.log_term}/{message.index}, "
            f"hints at {term}/{hint}; own log {log.last_term}/{log.last_index}"
        )
        refusal = Message(
            type=MessageType.APP_RESP,
            to=message.sender,
            sender=raft.id,
            term=raft.term,
            index=message.index,
            log_term=term,
            reject=True,
            reject_hint=hint,
        )
        raft.promise(refusal)
        return
    # Not beyond `last`: what may lie behind it here has not been compared with the leader's (Raft figure 2).
    log.commit_to(min(message.commit, last))
    _answer(raft, message, index=last)


def _heartbeat(raft: Raft, message: Message) -> None:
    raft.log.commit_to(message.commit)
    # Nothing is promised here, so that a round of reads need not wait for a sync.
    kind = MessageType.HEARTBEAT_RESP
    raft.messages.append(Message(type=kind, to=message.sender, sender=raft.id, term=raft.term, context=message.context))


def _restore(raft: Raft, message: Message) -> None:
    """Takes a state in place of the log, if it holds more than is known to be committed here (Raft 7).

    When the log has the state's last entry it need not go: all of that is committed, and comes by itself.
    """
    snapshot, log = message.snapshot, raft.log
    if snapshot is None or snapshot.index <= log.commit:
        raft.trace(f"ignores a snapshot of {message.sender:x}: committed up to {log.commit} already")
    elif log.matches(snapshot.index, snapshot.term):
        raft.trace(f"has all of the snapshot as of {snapshot.term}/{snapshot.index}")
        log.commit_to(snapshot.index)
    else:
        raft.trace(f"restores the snapshot as of {snapshot.term}/{snapshot.index}")
        log.restore(snapshot)
    _answer(raft, message, index=log.commit)


def _timeout_now(raft: Raft, message: Message) -> None:
    raft.trace(f"{message.sender:x} hands over")
    candidate.campaign(raft, is_called=True)


def _read_confirmed(raft: Raft, message: Message) -> None:
    raft.read_states.append(ReadState(message.index, message.context))


def _drop(raft: Raft, message: Message) -> None:
    raft.trace(f"drops {message.type.name} of {message.sender:x}: it does not lead")


def _answer(raft: Raft, message: Message, index: int) -> None:
    kind = MessageType.APP_RESP
    raft.promise(Message(type=kind, to=message.sender, sender=raft.id, term=raft.term, index=index))


_TAKERS: Final[Mapping[MessageType, Callable[[Raft, Message], None]]] = {
    MessageType.APP: _append,
    MessageType.HEARTBEAT: _heartbeat,
    MessageType.SNAP: _restore,
    MessageType.TIMEOUT_NOW: _timeout_now,
    MessageType.READ_INDEX_RESP: _read_confirmed,
    MessageType.PROP: _drop,  # forwarded once only: its leader has changed
    MessageType.READ_INDEX: _drop,
    MessageType.TRANSFER_LEADER: _drop,
}
