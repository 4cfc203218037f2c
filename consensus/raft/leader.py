"""What a leader does: appends proposals, counts acknowledgements, confirms reads (Raft 5.3, 5.4.2, 8).

Messages to other voters' logs arrive with progress.py: now a leader counts what it is told, its own log included,
and commits nothing without a quorum; with other voters it therefore waits.
"""

from collections.abc import Sequence

from consensus.raft import confchange, quorum
from consensus.raft.errors import ConfChangePending, TooMuchUncommitted
from consensus.raft.raft import Raft
from consensus.raft.types import NONE, ConfChange, EntryType, Message, MessageType


def step(raft: Raft, message: Message) -> None:
    """Counts an acknowledgement; late votes and answers to nothing say nothing to a leader."""
    if message.type is MessageType.APP_RESP and not message.reject:
        raft.acked[message.sender] = max(message.index, raft.acked.get(message.sender, 0))
        _commit(raft)


def tick(_raft: Raft) -> None:
    """Does nothing: a leader's clock serves heartbeats and check-quorum, which need progress.py."""


def propose(raft: Raft, data: Sequence[bytes], max_bytes: int) -> None:
    """Appends proposals, all of them or none; `max_bytes`: bound of what is not yet applied.

    Raises: TooMuchUncommitted.
    """
    size = sum(map(len, data))
    if raft.uncommitted_bytes and raft.uncommitted_bytes + size > max_bytes:
        raise TooMuchUncommitted(f"{raft.uncommitted_bytes} bytes are not applied yet, {size} more are too many")
    raft.uncommitted_bytes += size
    raft.append(EntryType.NORMAL, data)


def propose_conf_change(raft: Raft, change: ConfChange) -> None:
    """Appends a membership change, if no other may still be on its way (Raft thesis 4.1).

    Raises: ConfChangePending, ConfChangeRefused.
    """
    if raft.log.applied < raft.pending_conf_index:
        raise ConfChangePending(f"not applied up to {raft.pending_conf_index} yet, where a change may be")
    confchange.apply(raft.conf, change)  # refuses here what could not be applied later
    raft.append(EntryType.CONF_CHANGE, (confchange.encode(change),))
    raft.pending_conf_index = raft.log.last_index


def read_index(raft: Raft, context: bytes) -> None:
    """Lets a read wait for a round of confirmation, and begins one if it may."""
    raft.reads.add(context)
    _confirm_reads(raft)


def reconfigured(raft: Raft) -> None:
    """Looks again at what a quorum has said, after the quorum has changed; without a vote it leads no more."""
    members = (*raft.conf.voters, *raft.conf.learners)
    raft.acked = {member: index for member, index in raft.acked.items() if member in members}
    if not raft.is_voter:
        raft.become_follower(raft.term, NONE)  # its removal is committed: others may lead (Raft 6)
        return
    _commit(raft)


def _commit(raft: Raft) -> None:
    """Commits what a majority has durably, if it is of this term: the count says nothing of older ones (Raft 5.4.2)."""
    index = quorum.committed_index(raft.conf.voters, raft.acked)
    if index > raft.log.commit and raft.log.term(index) == raft.term:
        raft.log.commit_to(index)
    _confirm_reads(raft)


def _confirm_reads(raft: Raft) -> None:
    """Begins a round of reads with this member's own word, or adds that to the round under way.

    Before an entry of this term is committed a leader may not know all that is (Raft 8): the reads wait.
    """
    if raft.log.term(raft.log.commit) != raft.term:
        return
    number = raft.reads.start(raft.log.commit)
    raft.read_states += raft.reads.ack(number, raft.id, raft.conf.voters)
