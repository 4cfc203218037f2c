"""What a leader sends to the other members' logs, and when (Raft 5.3, 7; etcd-io/raft raft.go).

Nothing is sent at the moment of a proposal: `flush` comes with each Ready and sends all that has gathered, as one
message a member. A member that is slow, behind or away costs the others nothing.
"""

from consensus.raft.errors import Compacted
from consensus.raft.progress import Progress
from consensus.raft.raft import Raft
from consensus.raft.types import Message, MessageType, SnapshotMeta


def begin(raft: Raft) -> None:
    """Takes the members up as a new leader does, behind its first entry: nothing is known of their logs."""
    for member in (*raft.conf.voters, *raft.conf.learners):
        raft.progress[member] = Progress(raft.log.last_index, raft.config.max_inflight)


def reconfigured(raft: Raft) -> None:
    """Begins with members that are new, and lets go of those that are no more."""
    before, raft.progress = raft.progress, {}
    for member in (*raft.conf.voters, *raft.conf.learners):
        fresh = Progress(raft.log.last_index, raft.config.max_inflight, recent_active=True)  # it gets time to answer
        raft.progress[member] = before.get(member, fresh)


def is_due(raft: Raft) -> bool:
    """Whether `flush` would send anything."""
    last, commit = raft.log.last_index, raft.log.commit
    return any(progress.wants(last, commit) for member, progress in raft.progress.items() if member != raft.id)


def flush(raft: Raft) -> None:
    """Sends to each member what it lacks, as far as it may be sent ahead."""
    last, commit = raft.log.last_index, raft.log.commit
    for member, progress in raft.progress.items():
        while member != raft.id and progress.wants(last, commit):
            _send(raft, member, progress)


def heartbeat(raft: Raft, context: bytes) -> None:
    """Tells each member that this one leads, and of the commit index as far as its log is known to agree."""
    for member, progress in raft.progress.items():
        if member == raft.id:
            continue
        commit = min(progress.match, raft.log.commit)
        progress.sent_heartbeat(commit)
        kind = MessageType.HEARTBEAT
        raft.messages.append(
            Message(type=kind, to=member, sender=raft.id, term=raft.term, commit=commit, context=context)
        )


def refused(raft: Raft, progress: Progress, message: Message) -> None:
    """Goes back to where the logs may agree, with one step for each term in which they do not (Raft 5.3)."""
    hint = message.reject_hint
    known = max(progress.match, raft.log.first_index - 1)
    if hint > known:
        # The follower has no entry of a later term up to there; nor is one of them where the logs agree.
        hint, _term = raft.log.possible_match(hint, message.log_term, known)
    if progress.refused(message.index, hint):
        raft.trace(f"goes back with {message.sender:x}, which refused {message.index}, to {progress.next}")


def _send(raft: Raft, member: int, progress: Progress) -> None:
    log, previous = raft.log, progress.next - 1
    try:
        log_term = log.term(previous)
        has_more = progress.next <= log.last_index and not progress.is_full
        entries = log.entries(progress.next, raft.config.max_message_bytes) if has_more else []
    except Compacted:
        _send_snapshot(raft, member, progress)
        return
    raft.messages.append(
        Message(
            type=MessageType.APP,
            to=member,
            sender=raft.id,
            term=raft.term,
            index=previous,
            log_term=log_term,
            entries=tuple(entries),
            commit=log.commit,
        )
    )
    progress.sent(previous + len(entries), log.commit)


def _send_snapshot(raft: Raft, member: int, progress: Progress) -> None:
    """Lets the driver send the whole store, since the log no longer holds what the member needs (Raft 7)."""
    if not progress.recent_active:
        progress.become_probe()
        progress.is_probing = True
        raft.trace(f"sends no snapshot to {member:x} before it gives a sign of life")
        return
    log = raft.log
    meta = SnapshotMeta(log.applied, log.term(log.applied), raft.applied_conf)
    raft.trace(f"sends a snapshot as of {meta.term}/{meta.index} to {member:x}, which needs {progress.next}")
    progress.become_snapshot(meta.index)
    raft.messages.append(Message(type=MessageType.SNAP, to=member, sender=raft.id, term=raft.term, snapshot=meta))
