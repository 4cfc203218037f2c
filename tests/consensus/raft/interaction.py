"""Runs the commands of scenario transcripts (after etcd-io/raft's rafttest): one method a verb.

Messages that members send lie in a pool until a command delivers or drops them. What the core traces is printed.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from consensus.raft import confchange
from consensus.raft.errors import RaftError
from consensus.raft.log_store import MemoryLogStore
from consensus.raft.rawnode import Config
from consensus.raft.types import (
    ConfChange,
    ConfChangeType,
    ConfState,
    Entry,
    EntryType,
    HardState,
    Message,
    MessageType,
    Ready,
    SnapshotMeta,
)
from tests.consensus.raft.members import Member, entries_of

Words = Sequence[str]


class Interaction:
    """The members of one scenario."""

    def __init__(self) -> None:
        self._members: dict[int, Member] = {}
        self._configs: dict[int, Config] = {}
        self._taken: dict[int, Ready] = {}
        self._pool: list[Message] = []
        self._lines: list[str] = []

    def run(self, command: str) -> list[str]:
        """What a command prints; nothing for `quiet COMMAND`, which sets the scene."""
        if command.startswith("quiet "):
            self.run(command.removeprefix("quiet "))
            return ["ok"]
        self._lines = []
        verb, *words = command.split()
        method: Callable[[Words], None] = getattr(self, "_do_" + verb.replace("-", "_"))
        try:
            method(words)
        except RaftError as error:
            self._lines.append(f"{type(error).__name__}: {error}")
        return self._lines or ["ok"]

    # Setting the scene

    def _do_add(self, words: Words) -> None:
        """add ID [voters=1,2] [learners=3] [terms=1,1,2] [vote=2] [commit=2] [applied=1] [random=0.5] [pre_vote=1]
        [check_quorum=1] [max_inflight=2] [max_message_bytes=9].
        """
        number, options = int(words[0]), _options(words[1:])
        terms = _numbers(options.get("terms", ""))
        random = float(options.get("random", "0.5"))
        config = Config(
            id=number,
            random=lambda: random,
            applied=int(options.get("applied", "0")),
            conf_state=ConfState(_numbers(options.get("voters", "")), _numbers(options.get("learners", ""))),
            max_uncommitted_bytes=int(options.get("max_uncommitted_bytes", "1000")),
            max_committed_bytes=int(options.get("max_committed_bytes", "1000")),
            pre_vote="pre_vote" in options,
            check_quorum="check_quorum" in options,
            max_inflight=int(options.get("max_inflight", "256")),
            max_message_bytes=int(options.get("max_message_bytes", "1000")),
            trace=lambda line: self._lines.append(f"[{number}] {line}"),
        )
        hard_state = HardState(
            term=int(options.get("term", terms[-1] if terms else 0)),
            vote=int(options.get("vote", "0")),
            commit=int(options.get("commit", "0")),
        )
        self._configs[number] = config
        self._members[number] = Member(config, MemoryLogStore(hard_state, entries_of(terms)))

    def _do_bootstrap(self, words: Words) -> None:
        """bootstrap ID VOTER..."""
        changes = [ConfChange(ConfChangeType.ADD_NODE, int(word)) for word in words[1:]]
        self._members[int(words[0])].node.bootstrap(changes)

    def _do_crash(self, words: Words) -> None:
        """crash ID [applied=N]: only what was persisted is left, and the state machine as of N, its last by default."""
        number = int(words[0])
        gone, config = self._members[number], self._configs[number]
        last = max(gone.applied[-1].index if gone.applied else config.applied, gone.store.first_index() - 1)
        applied = int(_options(words[1:]).get("applied", last))
        conf = gone.store.snapshot_meta().conf_state if gone.store.snapshot_meta().index else config.conf_state
        for entry in gone.applied:
            if entry.type is entry.type.CONF_CHANGE and gone.store.first_index() <= entry.index <= applied:
                conf = confchange.apply(conf, confchange.decode(entry.data))
        restarted = replace(config, applied=applied, conf_state=conf)
        self._taken.pop(number, None)
        self._configs[number] = restarted
        self._members[number] = Member(restarted, gone.store)

    # Input

    def _do_tick(self, words: Words) -> None:
        """tick ID [COUNT]."""
        for _ in range(int(words[1]) if len(words) > 1 else 1):
            self._members[int(words[0])].node.tick()

    def _do_campaign(self, words: Words) -> None:
        """campaign ID."""
        self._members[int(words[0])].node.campaign()

    def _do_propose(self, words: Words) -> None:
        """propose ID DATA..."""
        self._members[int(words[0])].node.propose([word.encode() for word in words[1:]])

    def _do_propose_conf_change(self, words: Words) -> None:
        """propose-conf-change ID TYPE NODE."""
        change = ConfChange(ConfChangeType[words[1]], int(words[2]))
        self._members[int(words[0])].node.propose_conf_change(change)

    def _do_read_index(self, words: Words) -> None:
        """read-index ID CONTEXT."""
        self._members[int(words[0])].node.read_index(words[1].encode())

    def _do_step(self, words: Words) -> None:
        """step ID TYPE sender=2 term=2 [index=3] [log_term=1] [terms=2,2] [commit=3] [reject=1] [context=x] [prop=x]
        [snapshot=TERM/INDEX].
        """
        options = _options(words[2:])
        index = int(options.get("index", "0"))
        entries = tuple(Entry(0, 0, EntryType.NORMAL, word.encode()) for word in options.get("prop", "").split())
        message = Message(
            type=MessageType[words[1]],
            to=int(words[0]),
            sender=int(options["sender"]),
            term=int(options["term"]),
            index=index,
            log_term=int(options.get("log_term", "0")),
            entries=entries or tuple(entries_of(_numbers(options.get("terms", "")), index + 1)),
            commit=int(options.get("commit", "0")),
            reject="reject" in options,
            context=options.get("context", "").encode(),
            snapshot=self._snapshot_of(words[0], options["snapshot"]) if "snapshot" in options else None,
        )
        self._members[message.to].node.step(message)

    def _do_transfer_leader(self, words: Words) -> None:
        """transfer-leader ID TRANSFEREE."""
        self._members[int(words[0])].node.transfer_leader(int(words[1]))

    def _do_unreachable(self, words: Words) -> None:
        """unreachable ID MEMBER: a message of ID to MEMBER was lost, and it knows."""
        self._members[int(words[0])].node.report_unreachable(int(words[1]))

    def _do_report_snapshot(self, words: Words) -> None:
        """report-snapshot ID MEMBER ok|lost."""
        self._members[int(words[0])].node.report_snapshot(int(words[1]), ok=words[2] == "ok")

    def _do_cut(self, words: Words) -> None:
        """cut ID INDEX: the log, behind a state of the machine that is durable."""
        subject = self._members[int(words[0])]
        subject.store.cut(int(words[1]), subject.conf)

    # Output

    def _do_send(self, words: Words) -> None:
        """send ID: what may leave at once, though a Ready is outstanding."""
        messages = self._members[int(words[0])].node.take_messages()
        self._lines += [f"  send {_message(message)}" for message in messages]
        self._pool += messages

    def _do_take(self, words: Words) -> None:
        """take ID: takes a Ready and leaves it outstanding, not persisted."""
        number = int(words[0])
        ready = self._taken[number] = self._members[number].node.ready()
        self._pool += ready.messages
        self._print_ready(number, ready)

    def _do_advance(self, words: Words) -> None:
        """advance ID: does what the taken Ready says, and tells."""
        number = int(words[0])
        self._finish(number, self._taken.pop(number))

    def _do_process(self, words: Words) -> None:
        """process ID: one turn of the driver's loop."""
        number = int(words[0])
        if self._members[number].node.has_ready():
            self._do_take(words)
            self._do_advance(words)

    def _do_deliver(self, words: Words) -> None:
        """deliver ID: hands over the messages to a member that lie in the pool now."""
        for message in self._drain(int(words[0])):
            self._lines.append(f"  deliver {_message(message)}")
            self._members[message.to].node.step(message)

    def _do_drop(self, words: Words) -> None:
        """drop ID: loses the messages to a member."""
        for message in self._drain(int(words[0])):
            self._lines.append(f"  drop {_message(message)}")

    def _do_stabilize(self, words: Words) -> None:
        """stabilize [ID...]: turns and deliveries until these members have nothing left to do."""
        members = [int(word) for word in words] or list(self._members)
        while True:
            busy = [number for number in members if self._members[number].node.has_ready()]
            for number in busy:
                self._do_process([str(number)])
            waiting = [number for number in members if any(message.to == number for message in self._pool)]
            for number in waiting:
                self._do_deliver([str(number)])
            if not busy and not waiting:
                return

    # State

    def _do_status(self, words: Words) -> None:
        """status ID."""
        status = self._members[int(words[0])].node.status()
        self._lines.append(
            f"term={status.term} leader={status.leader} role={status.role} "
            f"commit={status.commit} applied={status.applied} last={status.last_index}"
        )

    def _do_progress(self, words: Words) -> None:
        """progress ID: the members as their leader sees them."""
        for number, progress in self._members[int(words[0])].node.status().progress.items():
            active = "active" if progress.recent_active else "silent"
            self._lines.append(f"{number}: {progress.state} match={progress.match} next={progress.next} {active}")

    def _do_log(self, words: Words) -> None:
        """log ID: the durable log."""
        store = self._members[int(words[0])].store
        first, last = store.first_index(), store.last_index()
        entries = store.entries(first, last + 1, 1 << 20) if first <= last else []
        if first > 1:
            self._lines.append(f"{store.term(first - 1)}/{first - 1} is cut")
        self._lines += [_entry(entry) for entry in entries]

    def _do_applied(self, words: Words) -> None:
        """applied ID: what the state machine has taken since its start."""
        self._lines += [_entry(entry) for entry in self._members[int(words[0])].applied]

    def _snapshot_of(self, number: str, text: str) -> SnapshotMeta:
        term, index = text.split("/")
        return SnapshotMeta(int(index), int(term), self._configs[int(number)].conf_state)

    def _finish(self, number: int, ready: Ready) -> None:
        subject = self._members[number]
        subject.persist(ready)
        subject.apply(ready)
        self._pool += ready.messages_after_append
        subject.node.advance(ready)

    def _drain(self, number: int) -> list[Message]:
        drained = [message for message in self._pool if message.to == number]
        self._pool = [message for message in self._pool if message.to != number]
        return drained

    def _print_ready(self, number: int, ready: Ready) -> None:
        lines = []
        if ready.soft_state is not None:
            lines.append(f"leader={ready.soft_state.leader} role={ready.soft_state.role}")
        if ready.hard_state is not None:
            hard = ready.hard_state
            lines.append(f"save term={hard.term} vote={hard.vote} commit={hard.commit}")
        if ready.snapshot is not None:
            lines.append(f"restore {_snapshot(ready.snapshot)}")
        lines += [f"save {_entry(entry)}" for entry in ready.entries]
        lines += [f"apply {_entry(entry)}" for entry in ready.committed_entries]
        lines += [f"read {state.context.decode()} at {state.index}" for state in ready.read_states]
        lines += [f"send {_message(message)}" for message in ready.messages]
        lines += [f"then send {_message(message)}" for message in ready.messages_after_append]
        self._lines.append(f"[{number}] Ready{' with sync' if ready.must_sync else ''}:")
        self._lines += ["  " + line for line in lines]


def _options(words: Words) -> dict[str, str]:
    return dict(word.split("=", 1) for word in words)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(",") if number)


def _entry(entry: Entry) -> str:
    if entry.type is entry.type.CONF_CHANGE:
        change = confchange.decode(entry.data)
        return f"{entry.term}/{entry.index} {change.type.name} {change.node_id}"
    return f'{entry.term}/{entry.index} "{entry.data.decode()}"'


def _snapshot(meta: SnapshotMeta) -> str:
    return f"{meta.term}/{meta.index} voters={meta.conf_state.voters} learners={meta.conf_state.learners}"


def _message(message: Message) -> str:
    text = f"{message.sender}->{message.to} {message.type.name} term={message.term}"
    if message.type in (MessageType.APP, MessageType.VOTE, MessageType.PRE_VOTE):
        text += f" log={message.log_term}/{message.index}"
    if message.type in (MessageType.APP_RESP, MessageType.READ_INDEX_RESP) and not message.reject:
        text += f" index={message.index}"
    if message.type is MessageType.TRANSFER_LEADER:
        text += f" to={message.index}"
    if message.commit:
        text += f" commit={message.commit}"
    if message.reject:
        text += " rejected"
        if message.reject_hint:
            text += f" {message.index}, hint {message.log_term}/{message.reject_hint}"
    if message.context:
        text += f" context={message.context.decode()}"
    if message.snapshot is not None:
        text += f" snapshot {_snapshot(message.snapshot)}"
    if message.entries:
        text += f" [{', '.join(map(_entry, message.entries))}]"
    return text
