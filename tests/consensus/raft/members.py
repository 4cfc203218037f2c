"""Members without a network: the core with its log in memory and a state machine that is a list, and the messages
that tests hand to it.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from consensus.raft import confchange
from consensus.raft.log_store import MemoryLogStore
from consensus.raft.rawnode import Config, RawNode
from consensus.raft.types import (
    ConfState,
    Entry,
    EntryType,
    HardState,
    Message,
    MessageType,
    ReadState,
    Ready,
)


def half() -> float:
    """Not random: with 10 election ticks a member campaigns at the 15th."""
    return 0.5


def entries_of(terms: Iterable[int], first: int = 1) -> list[Entry]:
    """Entries of these terms, from index `first` on."""
    return [Entry(term, index, EntryType.NORMAL, b"") for index, term in enumerate(terms, first)]


class Member:
    """One core, its durable log, and what it has applied."""

    def __init__(
        self,
        config: Config,
        store: MemoryLogStore | None = None,
    ) -> None:
        self.store = store or MemoryLogStore()
        self.node = RawNode(config, self.store)
        self.conf = config.conf_state
        self.applied: list[Entry] = []
        self.reads: list[ReadState] = []

    def persist(self, ready: Ready) -> None:
        if ready.snapshot is not None:
            self.store.restore(ready.snapshot)
            self.conf = ready.snapshot.conf_state
        self.store.save(ready.hard_state, ready.entries, ready.must_sync)

    def apply(self, ready: Ready) -> None:
        for entry in ready.committed_entries:
            self.applied.append(entry)
            if entry.type is EntryType.CONF_CHANGE:
                self.conf = self.node.apply_conf_change(confchange.decode(entry.data))

    def process(self) -> Ready:
        """One turn of the driver's loop."""
        ready = self.node.ready()
        self.persist(ready)
        self.reads += ready.read_states
        self.apply(ready)
        self.node.advance(ready)
        return ready

    def settle(self) -> list[Message]:
        """Turns until nothing is left to do; returns what would have been sent."""
        sent: list[Message] = []
        while self.node.has_ready():
            ready = self.process()
            sent += ready.messages + ready.messages_after_append
        return sent


def member(
    voters: Sequence[int] = (1,), terms: Sequence[int] = (), hard_state: HardState | None = None, **options: Any
) -> Member:  # Any: fields of Config
    """Member 1 that finds entries of `terms` in its log; elections as in the paper unless options say more."""
    if hard_state is None:
        hard_state = HardState(term=terms[-1] if terms else 0)
    config: dict[str, Any] = {
        "id": 1,
        "conf_state": ConfState(tuple(voters), tuple(options.pop("learners", ()))),
        "random": half,
        "pre_vote": False,
        "check_quorum": False,
        **options,
    }  # Any: as above
    return Member(Config(**config), MemoryLogStore(hard_state, entries_of(terms)))


def leader(voters: Sequence[int] = (1,), terms: Sequence[int] = (), **options: Any) -> Member:  # Any: fields of Config
    """Member 1 as a leader that got all votes and has nothing left to persist; alone it has committed all."""
    elected = member(voters, terms, **options)
    elected.node.campaign()
    for request in elected.settle():
        elected.node.step(answer(request))
    elected.settle()
    return elected


def answer(request: Message, *, reject: bool = False) -> Message:
    """The answer of the voter that was asked."""
    return Message(type=MessageType.VOTE_RESP, to=request.sender, sender=request.to, term=request.term, reject=reject)


def acknowledge(sender: int, term: int, index: int, to: int = 1) -> Message:
    """A follower's word that its log is durable up to `index`."""
    return Message(type=MessageType.APP_RESP, to=to, sender=sender, term=term, index=index)


def refuse(sender: int, term: int, index: int, log_term: int, hint: int) -> Message:
    """A follower's word that it has no such entry at `index`, and where the logs may agree."""
    kind = MessageType.APP_RESP
    return Message(
        type=kind, to=1, sender=sender, term=term, index=index, log_term=log_term, reject=True, reject_hint=hint
    )


def beat(sender: int, term: int, context: bytes = b"") -> Message:
    """A follower's answer to a heartbeat of leader 1."""
    return Message(type=MessageType.HEARTBEAT_RESP, to=1, sender=sender, term=term, context=context)


def append(term: int, index: int, log_term: int, terms: Iterable[int] = (), commit: int = 0) -> Message:
    """What leader 2 sends to member 1: entries of `terms` behind (log_term, index)."""
    return Message(
        type=MessageType.APP,
        to=1,
        sender=2,
        term=term,
        index=index,
        log_term=log_term,
        entries=tuple(entries_of(terms, index + 1)),
        commit=commit,
    )


def heartbeat(term: int, commit: int = 0, context: bytes = b"") -> Message:
    """What leader 2 sends to member 1 to be heard."""
    return Message(type=MessageType.HEARTBEAT, to=1, sender=2, term=term, commit=commit, context=context)


def vote(term: int, index: int, log_term: int, sender: int = 2) -> Message:
    """A candidate's request for the vote of member 1."""
    return Message(type=MessageType.VOTE, to=1, sender=sender, term=term, index=index, log_term=log_term)


def terms_of(subject: Member) -> list[int]:
    """The terms of a member's whole log, durable or not."""
    log = subject.node._raft.log
    return [log.term(index) for index in range(1, log.last_index + 1)]
