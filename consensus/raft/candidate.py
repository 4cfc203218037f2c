"""What a candidate does: asks for votes, counts them, gives way to whoever has won (Raft 5.2)."""

from consensus.raft import quorum
from consensus.raft.quorum import VoteResult
from consensus.raft.raft import Raft
from consensus.raft.types import NONE, Message, MessageType


def campaign(raft: Raft) -> None:
    """Opens a new term and asks all voters for their vote, this member among them (Raft 5.2).

    Its own vote counts like any other once term and vote are durable. Before all that is known to be committed is
    applied nobody campaigns, since a membership change among it says who decides; the next tick tries again.
    """
    if not raft.is_voter:
        raft.trace("does not campaign: it is no voter")
        return
    if raft.log.applied < raft.log.commit:
        raft.election_elapsed = raft.election_timeout
        raft.trace(f"does not campaign yet: applied {raft.log.applied} of {raft.log.commit} committed")
        return
    raft.become_candidate()
    for voter in raft.conf.voters:
        if voter == raft.id:
            answer = Message(type=MessageType.VOTE_RESP, to=voter, sender=raft.id, term=raft.term)
            raft.promise(answer)
            continue
        raft.promise(
            Message(
                type=MessageType.VOTE,
                to=voter,
                sender=raft.id,
                term=raft.term,
                index=raft.log.last_index,
                log_term=raft.log.last_term,
            )
        )


def step(raft: Raft, message: Message) -> None:
    """Counts a vote, or follows the leader that this term has (Raft 5.2)."""
    if message.type in (MessageType.APP, MessageType.HEARTBEAT):
        raft.become_follower(message.term, message.sender)
        raft.step(message)
    elif message.type is MessageType.VOTE_RESP:
        _count(raft, message)


def tick(raft: Raft) -> None:
    """Opens another term when votes were split or lost (Raft 5.2)."""
    if raft.election_due():
        campaign(raft)


def _count(raft: Raft, message: Message) -> None:
    raft.votes.setdefault(message.sender, not message.reject)  # a second answer changes nothing
    result = quorum.vote_result(raft.conf.voters, raft.votes)
    raft.trace(
        f"{'lost' if message.reject else 'got'} the vote of {message.sender:x} at term {raft.term}: {result.name}"
    )
    if result is VoteResult.WON:
        raft.become_leader()
    elif result is VoteResult.LOST:
        raft.become_follower(raft.term, NONE)
