"""What a leader does: appends proposals, counts acknowledgements, confirms reads, hands over (Raft 5.3, 5.4.2, 6, 8).

What goes to the other members' logs is in replication.py.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from consensus.raft import confchange, quorum, replication
from consensus.raft.errors import ConfChangePending, RaftError, TooMuchUncommitted, TransferUnderWay
from consensus.raft.raft import Raft
from consensus.raft.read_index import Read
from consensus.raft.types import NONE, ConfChange, EntryType, Message, MessageType, ReadState


def step(raft: Raft, message: Message) -> None:
    """Takes what members say of their logs and ask of their leader; late votes say nothing to it."""
    take = _TAKERS.get(message.type)
    if take is not None:
        take(raft, message)


def tick(raft: Raft) -> None:
    """Makes itself heard, and once an election timeout looks whether a quorum is (Raft thesis 6.2)."""
    raft.heartbeat_elapsed += 1
    raft.election_elapsed += 1
    if raft.election_elapsed >= raft.config.election_ticks:
        raft.election_elapsed = 0
        if not raft.is_voter or (raft.config.check_quorum and not _is_heard(raft)):
            raft.trace("leads no more: it is no voter" if not raft.is_voter else "leads no more: no quorum was heard")
            raft.become_follower(raft.term, NONE)
            return
        _give_up_transfer(raft, "it took too long")
    if raft.heartbeat_elapsed >= raft.config.heartbeat_ticks:
        raft.heartbeat_elapsed = 0
        replication.heartbeat(raft, raft.reads.context)


def propose(raft: Raft, data: Sequence[bytes]) -> None:
    """Appends proposals, all of them or none.

    Raises: TransferUnderWay, TooMuchUncommitted.
    """
    _check_transfer(raft)
    size = sum(map(len, data))
    if raft.uncommitted_bytes and raft.uncommitted_bytes + size > raft.config.max_uncommitted_bytes:
        raise TooMuchUncommitted(f"{raft.uncommitted_bytes} bytes are not applied yet, {size} more are too many")
    raft.uncommitted_bytes += size
    raft.append(EntryType.NORMAL, data)


def propose_conf_change(raft: Raft, change: ConfChange) -> None:
    """Appends a membership change, if no other may still be on its way (Raft thesis 4.1).

    Raises: TransferUnderWay, ConfChangePending, ConfChangeRefused.
    """
    _check_transfer(raft)
    if raft.log.applied < raft.pending_conf_index:
        raise ConfChangePending(f"not applied up to {raft.pending_conf_index} yet, where a change may be")
    confchange.apply(raft.conf, change)  # refuses here what could not be applied later
    raft.append(EntryType.CONF_CHANGE, (confchange.encode(change),))
    raft.pending_conf_index = raft.log.last_index


def read_index(raft: Raft, read: Read) -> None:
    """Lets a read wait for a round of confirmation, and begins one if it may."""
    raft.reads.add(read)
    _begin_round(raft)


def transfer_leader(raft: Raft, transferee: int) -> None:
    """Hands over to a voter as soon as its log is complete; takes no proposals meanwhile (Raft thesis 3.10)."""
    if transferee not in raft.conf.voters:
        raft.trace(f"does not hand over to {transferee:x}, which is no voter")
        return
    if transferee == raft.transferee:
        return
    _give_up_transfer(raft, f"{transferee:x} is to lead")
    if transferee == raft.id:
        return
    raft.trace(f"hands over to {transferee:x}")
    raft.transferee = transferee
    raft.election_elapsed = 0  # it has one election timeout
    _hand_over(raft)


def reconfigured(raft: Raft) -> None:
    """Looks again at what a quorum has said, after the quorum has changed; without a vote it hands over (Raft 6).

    It leads on for one election timeout at most and takes no proposals meanwhile: the others must learn that its
    removal is committed, since without that knowledge they may need its vote.
    """
    replication.reconfigured(raft)
    if raft.transferee not in raft.conf.voters:
        _give_up_transfer(raft, "it is no voter any more")
    _commit(raft)
    if not raft.is_voter:
        transfer_leader(raft, max(raft.conf.voters, key=lambda voter: raft.progress[voter].match))


def _acknowledged(raft: Raft, message: Message) -> None:
    progress = raft.progress.get(message.sender)
    if progress is None:  # its own word, after its removal
        return
    if message.reject:
        replication.refused(raft, progress, message)
    elif progress.acknowledged(message.index, raft.log.first_index):
        _commit(raft)
        _hand_over(raft)


def _commit(raft: Raft) -> None:
    """Commits what a majority has durably, if it is of this term: the count says nothing of older ones (Raft 5.4.2)."""
    acked = {member: progress.match for member, progress in raft.progress.items()}
    index = quorum.committed_index(raft.conf.voters, acked)
    if index > raft.log.commit and raft.log.term(index) == raft.term:
        raft.log.commit_to(index)
    _begin_round(raft)
    _count_round(raft, raft.reads.context, raft.id)


def _answered_heartbeat(raft: Raft, message: Message) -> None:
    raft.progress[message.sender].answered_heartbeat(raft.log.last_index)
    _count_round(raft, message.context, message.sender)


def _begin_round(raft: Raft) -> None:
    """Begins a round of reads with this member's own word, unless one is under way or none waits.

    Before an entry of this term is committed a leader may not know all that is (Raft 8): the reads wait.
    """
    if raft.reads.is_due and raft.log.term(raft.log.commit) == raft.term:
        raft.reads.start(raft.log.commit)
        replication.heartbeat(raft, raft.reads.context)
        _count_round(raft, raft.reads.context, raft.id)


def _count_round(raft: Raft, context: bytes, member: int) -> None:
    index, reads = raft.reads.ack(context, member, raft.conf.voters)
    for read in reads:
        if read.member == raft.id:
            raft.read_states.append(ReadState(index, read.context))
            continue
        answer = Message(
            type=MessageType.READ_INDEX_RESP,
            to=read.member,
            sender=raft.id,
            term=raft.term,
            index=index,
            context=read.context,
        )
        raft.messages.append(answer)
    if reads:
        _begin_round(raft)


def _forwarded(raft: Raft, message: Message) -> None:
    """Appends what a follower has passed on; what cannot be is lost, as on the way (the client's deadline tells)."""
    try:
        normal = [entry.data for entry in message.entries if entry.type is EntryType.NORMAL]
        if normal:
            propose(raft, normal)
        for entry in message.entries:
            if entry.type is EntryType.CONF_CHANGE:
                propose_conf_change(raft, confchange.decode(entry.data))
    except RaftError as error:
        raft.trace(f"drops proposals of {message.sender:x}: {error}")


def _forwarded_read(raft: Raft, message: Message) -> None:
    read_index(raft, Read(message.sender, message.context))


def _forwarded_transfer(raft: Raft, message: Message) -> None:
    transfer_leader(raft, message.index)


def _is_heard(raft: Raft) -> bool:
    """Whether a quorum has answered since the last look, this member included."""
    active = {member for member, progress in raft.progress.items() if progress.recent_active or member == raft.id}
    for progress in raft.progress.values():
        progress.recent_active = False
    return quorum.has_quorum(raft.conf.voters, active)


def _hand_over(raft: Raft) -> None:
    transferee = raft.progress.get(raft.transferee)
    if transferee is not None and transferee.match == raft.log.last_index:
        raft.trace(f"lets {raft.transferee:x} campaign: its log is complete")
        kind = MessageType.TIMEOUT_NOW
        raft.messages.append(Message(type=kind, to=raft.transferee, sender=raft.id, term=raft.term))


def _give_up_transfer(raft: Raft, why: str) -> None:
    if raft.transferee != NONE:
        raft.trace(f"does not hand over to {raft.transferee:x}: {why}")
        raft.transferee = NONE


def _check_transfer(raft: Raft) -> None:
    if raft.transferee != NONE:
        raise TransferUnderWay(f"{raft.id:x} is handing over to {raft.transferee:x}")


_TAKERS: Final[Mapping[MessageType, Callable[[Raft, Message], None]]] = {
    MessageType.APP_RESP: _acknowledged,
    MessageType.HEARTBEAT_RESP: _answered_heartbeat,
    MessageType.PROP: _forwarded,
    MessageType.READ_INDEX: _forwarded_read,
    MessageType.TRANSFER_LEADER: _forwarded_transfer,
}
