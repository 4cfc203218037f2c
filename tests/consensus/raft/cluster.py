"""A cluster in memory whose members crash and whose network loses, delays, reorders and doubles, all by one seed.

After each step the properties of Raft's figure 3 are checked against what was ever seen: an entry, once it is in some
log, is the same in all logs of that index and term and follows the same entry; one leader a term, which has all that
was ever committed; what is committed or applied at an index never differs.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

from consensus.raft import confchange
from consensus.raft.errors import ConfChangeRefused, ProposalDropped
from consensus.raft.log_store import MemoryLogStore
from consensus.raft.rawnode import Config, RawNode
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
    Role,
    SnapshotMeta,
)

IDS = range(1, 8)
PENDING = 40
"""Messages on the way, above which they are rather delivered."""


class Peer:
    """One member: its core, its disk, its state machine, and what it was doing."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.store = MemoryLogStore()
        self.durable_applied = 0
        self.applied = 0
        self.unsaved: HardState | None = None
        self.outstanding: Ready | None = None
        self.todo: list[Entry] = []
        """Committed entries of the outstanding Ready that are not applied yet."""
        self.node: RawNode


class Cluster:
    """See the module's text; `play` runs it."""

    def __init__(self, seed: int) -> None:
        self.chance = chance = Random(seed)
        self.fired: Counter[str] = Counter()
        self.options: dict[str, Any] = {  # Any: fields of Config
            "heartbeat_ticks": chance.choice((1, 3)),
            "pre_vote": chance.random() < 0.75,
            "check_quorum": chance.random() < 0.75,
            "max_inflight": chance.choice((1, 3, 256)),
            "max_message_bytes": chance.choice((1, 20, 1 << 20)),
            "max_committed_bytes": chance.choice((1, 30, 1 << 20)),
        }
        self.jumps = chance.choice((0.0, 0.02, 0.1))
        """How often a clock jumps ahead, as after a pause."""
        self.loss = chance.choice((0.0, 0.05, 0.3))
        self.doubling = chance.choice((0.0, 0.1, 0.3))
        self.cut: set[tuple[int, int]] = set()
        self.pool: list[Message] = []
        self.first = ConfState(tuple(range(1, chance.choice((2, 3, 3, 3, 4, 5)) + 1)))
        # All that was ever seen.
        self.leaders: dict[int, int] = {}
        self.entries: dict[tuple[int, int], tuple[Entry, int]] = {}
        self.committed: list[int] = [0]
        """Index -> term."""
        self.history: list[Entry] = []
        self.confs: list[ConfState] = [ConfState()]
        """Index -> who takes part."""
        self.asked: dict[bytes, int] = {}
        self.count = 0
        self.peers: dict[int, Peer] = {}
        for number in self.first.voters:
            self.add(number)

    def add(self, number: int) -> None:
        self.peers[number] = Peer(number)
        self.start(self.peers[number])

    def start(self, peer: Peer) -> None:
        peer.applied = peer.durable_applied
        peer.unsaved = peer.outstanding = None
        config = Config(
            id=peer.number,
            random=self.chance.random,
            applied=peer.applied,
            conf_state=self.confs[peer.applied],
            **self.options,
        )
        peer.node = RawNode(config, peer.store)
        is_empty = peer.store.last_index() == 0 and peer.store.initial_state().term == 0
        if is_empty and peer.number in self.first.voters:
            peer.node.bootstrap([ConfChange(ConfChangeType.ADD_NODE, voter) for voter in self.first.voters])

    # What a driver does

    def turn(self, peer: Peer) -> None:
        """The next piece of the driver's loop."""
        if peer.outstanding is None:
            if peer.node.has_ready():
                self.take(peer)
        elif peer.todo:
            self.apply(peer, peer.todo.pop(0))
        else:
            self.finish(peer)

    def take(self, peer: Peer) -> None:
        peer.outstanding = ready = peer.node.ready()
        peer.todo = list(ready.committed_entries)
        for state in ready.read_states:
            self.fired["read"] += 1
            assert state.index >= self.asked[state.context], "stale read"
        self.send(ready.messages)
        if ready.snapshot is not None:
            self.fired["restore"] += 1
            # Switching store and log are one durable step here; a crash before or after it is one of this step.
            assert not ready.committed_entries
            peer.store.restore(ready.snapshot)
            peer.applied = peer.durable_applied = ready.snapshot.index

    def persist(self, peer: Peer, ready: Ready) -> None:
        if ready.hard_state is not None:
            peer.unsaved = ready.hard_state
        if not ready.must_sync:
            return
        self.note(peer, ready.entries)
        peer.store.save(peer.unsaved, ready.entries)
        peer.unsaved = None

    def note(self, peer: Peer, entries: list[Entry]) -> None:
        """Log matching, by induction along the log."""
        for position, entry in enumerate(entries):
            before = entries[position - 1].term if position else peer.store.term(entry.index - 1)
            seen = self.entries.setdefault((entry.index, entry.term), (entry, before))
            assert seen == (entry, before), "logs do not match"

    def apply(self, peer: Peer, entry: Entry) -> None:
        assert entry.index == peer.applied + 1, "applied out of order"
        peer.applied = entry.index
        if entry.index > len(self.history):
            self.history.append(entry)
            conf = self.confs[-1]
            if entry.type is EntryType.CONF_CHANGE:
                conf = confchange.apply(conf, confchange.decode(entry.data))
            self.confs.append(conf)
        assert self.history[entry.index - 1] == entry, "state machines differ"
        if entry.type is EntryType.CONF_CHANGE:
            conf = peer.node.apply_conf_change(confchange.decode(entry.data))
            assert conf == self.confs[entry.index], "configurations differ"
            self.fired["conf change"] += 1

    def finish(self, peer: Peer) -> None:
        ready = peer.outstanding
        assert ready is not None
        peer.outstanding = None
        self.persist(peer, ready)
        self.send(ready.messages_after_append)
        peer.node.advance(ready)

    def send(self, messages: list[Message]) -> None:
        for message in messages:
            if message.type is not MessageType.SNAP:
                self.pool.append(message)
                continue
            # The store that is streamed holds what the sender has applied by then.
            peer = self.peers[message.sender]
            assert message.snapshot is not None
            assert message.snapshot.conf_state == self.confs[message.snapshot.index]
            index = self.chance.choice((message.snapshot.index, peer.applied))
            meta = SnapshotMeta(index, self.history[index - 1].term, self.confs[index])
            self.pool.append(replace(message, snapshot=meta))

    # What happens

    def tick(self, peer: Peer) -> None:
        for _ in range(20 if self.chance.random() < self.jumps else 1):
            peer.node.tick()
        self.take_messages(peer)

    def take_messages(self, peer: Peer) -> None:
        self.send(peer.node.take_messages())

    def deliver(self, _peer: Peer) -> None:
        if not self.pool:
            return
        message = self.pool.pop(self.chance.randrange(len(self.pool)))
        is_cut = (message.sender, message.to) in self.cut
        if message.to not in self.peers or is_cut or self.chance.random() < self.loss:
            self.lost(message)
            return
        if message.type is not MessageType.PROP and self.chance.random() < self.doubling:
            self.pool.append(message)
        if message.type is MessageType.SNAP:
            self.report(message, ok=True)
        self.peers[message.to].node.step(message)

    def lost(self, message: Message) -> None:
        self.fired["loss"] += 1
        if message.type is MessageType.SNAP:
            self.report(message, ok=False)
        elif message.sender in self.peers and self.chance.random() < 0.5:
            self.peers[message.sender].node.report_unreachable(message.to)

    def report(self, message: Message, *, ok: bool) -> None:
        if message.sender in self.peers:
            self.peers[message.sender].node.report_snapshot(message.to, ok=ok)

    def propose(self, peer: Peer) -> None:
        data = [b"%d" % (self.count + number) for number in range(self.chance.choice((1, 1, 3, 9)))]
        self.count += len(data)
        try:
            peer.node.propose(data)
        except ProposalDropped:
            self.fired["dropped proposal"] += 1

    def propose_conf_change(self, peer: Peer) -> None:
        number = self.chance.choice(IDS)
        kind = self.chance.choice(
            (ConfChangeType.ADD_NODE, ConfChangeType.REMOVE_NODE, ConfChangeType.ADD_LEARNER_NODE)
        )
        try:
            peer.node.propose_conf_change(ConfChange(kind, number))
        except (ProposalDropped, ConfChangeRefused):
            self.fired["dropped conf change"] += 1
            return
        if number not in self.peers:
            self.add(number)

    def read(self, peer: Peer) -> None:
        self.count += 1
        context = b"%d" % self.count
        # All that was answered to anyone before the read was applied somewhere.
        self.asked[context] = len(self.history)
        peer.node.read_index(context)

    def transfer(self, peer: Peer) -> None:
        peer.node.transfer_leader(self.chance.choice(list(self.peers)))
        self.fired["transfer"] += peer.node.status().transferee != 0

    def campaign(self, peer: Peer) -> None:
        peer.node.campaign()

    def crash(self, peer: Peer) -> None:
        self.fired["crash"] += 1
        if peer.outstanding is not None and self.chance.random() < 0.5:
            self.persist(peer, peer.outstanding)
        if peer.unsaved is not None and self.chance.random() < 0.5:  # a commit index, never synced
            saved = peer.store.initial_state()
            if (saved.term, saved.vote) == (peer.unsaved.term, peer.unsaved.vote):
                peer.store.save(replace(peer.unsaved, commit=min(peer.unsaved.commit, peer.store.last_index())), [])
        peer.durable_applied = self.chance.randint(peer.durable_applied, min(peer.applied, peer.store.last_index()))
        self.start(peer)

    def cut_log(self, peer: Peer) -> None:
        if peer.outstanding is None and peer.applied >= peer.store.first_index():
            index = self.chance.randint(peer.store.first_index(), peer.applied)
            peer.durable_applied = max(peer.durable_applied, index)
            peer.store.cut(index, self.confs[index])
            self.fired["log cut"] += 1

    def partition(self, _peer: Peer) -> None:
        numbers = list(self.peers)
        leading = {number for number in numbers if self.peers[number].node.status().role is Role.LEADER}
        side = {number for number in numbers if self.chance.random() < 0.5}
        kind = self.chance.randrange(5)
        if kind == 0:
            self.cut = set()
        elif kind == 1:  # one way
            self.cut = {(a, b) for a in numbers for b in numbers if self.chance.random() < 0.2}
        elif kind == 2:  # whoever leads hears nobody
            self.cut = {(a, b) for a in numbers for b in numbers if b in leading}
        else:
            self.cut = {(a, b) for a in numbers for b in numbers if (a in side) != (b in side)}
            if kind == 3:
                self.cut = {(a, b) for a in numbers for b in numbers if (a in leading) != (b in leading)}

    # What must hold

    def check(self, peer: Peer) -> None:
        status = peer.node.status()
        log = peer.node._raft.log
        for index in range(len(self.committed), status.commit + 1):
            self.committed.append(log.term(index))
        first = max(log.first_index, status.commit - 3)
        for index in range(first, status.commit + 1):
            assert log.term(index) == self.committed[index], "committed entries differ"
        if status.role is Role.LEADER and status.term not in self.leaders:
            self.leaders[status.term] = status.id
            for index in range(log.first_index, len(self.committed)):
                assert log.matches(index, self.committed[index]), "a leader lacks a committed entry"
        if status.role is Role.LEADER:
            assert self.leaders[status.term] == status.id, "two leaders in a term"

    def play(self, steps: int) -> None:
        choice = self.chance.choice
        events: list[tuple[Callable[[Peer], None], int]] = [
            (self.turn, 400),
            (self.deliver, 400),
            (self.tick, choice((30, 80, 150))),
            (self.take_messages, 20),
            (self.propose, choice((20, 60))),
            (self.read, choice((5, 40))),
            (self.propose_conf_change, choice((0, 4, 30))),
            (self.cut_log, choice((2, 40))),
            (self.transfer, choice((0, 4))),
            (self.campaign, choice((0, 2, 25))),
            (self.crash, choice((0, 3, 15))),
            (self.partition, choice((0, 3, 8))),
        ]
        actions, weights = zip(*events, strict=True)
        for _ in range(steps):
            (action,) = self.chance.choices(actions, weights) if len(self.pool) < PENDING else (self.deliver,)
            peer = self.peers[choice(list(self.peers))]
            action(peer)
            self.check(peer)

    def heal(self) -> None:
        """Without further faults the cluster must come back, and all its members reach the same state."""
        self.loss, self.doubling, self.cut = 0.0, 0.0, set()
        for round_ in range(400):
            for peer in self.peers.values():
                peer.node.tick()
            for _ in range(20):
                self.settle()
            if round_ % 50 == 49:
                self.propose(self.peers[1])
            if round_ > 50 and self.is_settled():
                self.fired["leader"] += len(self.leaders)
                return
        conf = self.confs[-1]
        # The other one of two has left, and this one never heard that it may go on alone: in etcd, too, only an
        # operator can help then.
        is_left_alone = len(conf.voters) == 1 and self.peers[conf.voters[0]].applied < len(self.history)
        self.fired["left alone"] += is_left_alone
        assert is_left_alone, f"no agreement is reached: {conf} {[peer.node.status() for peer in self.peers.values()]}"

    def settle(self) -> None:
        for peer in self.peers.values():
            while peer.outstanding is not None or peer.node.has_ready():
                self.turn(peer)
                self.check(peer)
        while self.pool:
            self.deliver(self.peers[self.pool[0].sender])

    def is_settled(self) -> bool:
        """Whether one leads and has all applied, as has everybody that takes part."""
        conf = self.confs[-1]
        peers = [self.peers[number] for number in (*conf.voters, *conf.learners)]
        leading = [peer.node.status() for peer in peers if peer.node.status().role is Role.LEADER]
        if not leading or any(peer.applied < len(self.history) for peer in peers):
            return False
        newest = max(leading, key=lambda status: status.term)
        return newest.last_index == len(self.history) and self.history[-1].term == newest.term
