"""What a follower does: takes the leader's entries and commit index, and campaigns after silence (Raft 5.2, 5.3)."""

from consensus.raft import candidate
from consensus.raft.raft import Raft
from consensus.raft.types import Message, MessageType


def step(raft: Raft, message: Message) -> None:
    """Takes what the leader of this term sends.

    Raises: LogCorrupt.
    """
    if message.type is MessageType.APP:
        _hear(raft, message)
        _append(raft, message)
    elif message.type is MessageType.HEARTBEAT:
        _hear(raft, message)
        raft.log.commit_to(message.commit)
        # Nothing is promised here, so that a round of reads need not wait for a sync.
        answer = Message(
            type=MessageType.HEARTBEAT_RESP,
            to=message.sender,
            sender=raft.id,
            term=raft.term,
            context=message.context,
        )
        raft.messages.append(answer)


def tick(raft: Raft) -> None:
    """Campaigns when no leader was heard for the election timeout (Raft 5.2)."""
    if raft.election_due():
        candidate.campaign(raft)


def _hear(raft: Raft, message: Message) -> None:
    raft.election_elapsed = 0
    raft.leader = message.sender


def _append(raft: Raft, message: Message) -> None:
    """Appends what follows an entry that this log has, or says where the logs may agree (Raft 5.3)."""
    log = raft.log
    if message.index < log.commit:  # an old message: up to the commit index the logs agree already
        _answer(raft, message, index=log.commit)
        return
    last = log.maybe_append(message.index, message.log_term, message.entries)
    if last is None:
        hint, term = log.possible_match(message.index, message.log_term)
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


def _answer(raft: Raft, message: Message, index: int) -> None:
    kind = MessageType.APP_RESP
    raft.promise(Message(type=kind, to=message.sender, sender=raft.id, term=raft.term, index=index))
