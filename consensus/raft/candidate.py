"""What a candidate does: asks for votes, counts them, gives way to whoever has won (Raft 5.2; pre-vote: thesis 9.6)."""

from consensus.raft import quorum, replication
from consensus.raft.quorum import VoteResult
from consensus.raft.raft import FROM_LEADERS, Raft
from consensus.raft.types import NONE, TRANSFER, Message, MessageType, Role


def campaign(raft: Raft, *, is_called: bool = False) -> None:
    """Asks all voters for their vote, or first whether they would give it.

    `is_called`: the leader hands over, so that nobody need be asked first (Raft thesis 3.10). Before all that is known
    to be committed is applied nobody campaigns, since a membership change among it says who decides: the next tick
    tries again, or for the called `retry`.
    """
    if not raft.is_voter:
        raft.trace("does not campaign: it is no voter")
        return
    if raft.log.applied < raft.log.commit:
        raft.election_elapsed = raft.election_timeout
        raft.is_called = is_called
        raft.trace(f"does not campaign yet: applied {raft.log.applied} of {raft.log.commit} committed")
        return
    if raft.config.pre_vote and not is_called:
        raft.become_pre_candidate()
        _ask(raft, MessageType.PRE_VOTE, raft.term + 1)
        # That binds this member to nothing, so that nothing need be durable.
        _count(raft, raft.id, granted=True)
    else:
        _stand(raft, TRANSFER if is_called else b"")


def retry(raft: Raft) -> None:
    """Campaigns as the leader has asked, now that all is applied."""
    if raft.is_called and raft.log.applied >= raft.log.commit:
        campaign(raft, is_called=True)


def step(raft: Raft, message: Message) -> None:
    """Counts a vote, or follows the leader that this term has (Raft 5.2)."""
    if message.type in FROM_LEADERS:
        raft.become_follower(message.term, message.sender)
        raft.step(message)
    elif _is_vote(raft, message):
        _count(raft, message.sender, granted=not message.reject)
    elif message.type in (MessageType.PROP, MessageType.READ_INDEX):
        raft.trace(f"drops {message.type.name} of {message.sender:x}: it does not lead")


def tick(raft: Raft) -> None:
    """Begins anew when votes were split or lost (Raft 5.2)."""
    if raft.election_due():
        campaign(raft)


def _stand(raft: Raft, context: bytes) -> None:
    """Opens a new term and asks for votes in it; its own counts like any other once term and vote are durable."""
    raft.become_candidate()
    _ask(raft, MessageType.VOTE, raft.term, context)
    raft.promise(Message(type=MessageType.VOTE_RESP, to=raft.id, sender=raft.id, term=raft.term))


def _ask(raft: Raft, kind: MessageType, term: int, context: bytes = b"") -> None:
    for voter in raft.conf.voters:
        if voter != raft.id:
            request = Message(
                type=kind,
                to=voter,
                sender=raft.id,
                term=term,
                index=raft.log.last_index,
                log_term=raft.log.last_term,
                context=context,
            )
            raft.promise(request)


def _is_vote(raft: Raft, message: Message) -> bool:
    if raft.role is Role.CANDIDATE:
        return message.type is MessageType.VOTE_RESP
    # A grant for an earlier question says nothing about this one.
    return message.type is MessageType.PRE_VOTE_RESP and (message.reject or message.term == raft.term + 1)


def _count(raft: Raft, voter: int, *, granted: bool) -> None:
    raft.votes.setdefault(voter, granted)  # a second answer changes nothing
    result = quorum.vote_result(raft.conf.voters, raft.votes)
    word = "vote" if raft.role is Role.CANDIDATE else "pre-vote"
    raft.trace(f"{'got' if granted else 'lost'} the {word} of {voter:x} at term {raft.term}: {result.name}")
    if result is VoteResult.LOST:
        raft.become_follower(raft.term, NONE)
    elif result is VoteResult.WON and raft.role is Role.PRE_CANDIDATE:
        _stand(raft, b"")
    elif result is VoteResult.WON:
        raft.become_leader()
        replication.begin(raft)
