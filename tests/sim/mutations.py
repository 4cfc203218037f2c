"""Rules that are broken on purpose, to see that the simulation notices.

A mutation changes the text of one module while it is imported, in a process of its own (`python -m tests.sim
--mutation NAME`). Text that is no longer there fails loudly: then the mutation has to follow the code.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import CodeType, ModuleType
from typing import Final


@dataclass(frozen=True, slots=True)
class Mutation:
    """One rule broken."""

    module: str
    old: str
    """Text that occurs once."""
    new: str
    members: int = 1
    """The fewest members with which it can show."""
    seed: int = 0
    """The first seed with which it has shown."""


class Outdated(Exception):
    """The text that a mutation is to change is not in its module exactly once."""


def mutated(source: str, mutation: Mutation) -> str:
    """The source of a module with the mutation.

    Raises: Outdated.
    """
    if source.count(mutation.old) != 1:
        raise Outdated(f"{mutation.module} has the text {source.count(mutation.old)} times: {mutation.old!r}")
    return source.replace(mutation.old, mutation.new)


def source_of(module: str) -> str:
    """The text of a module as it is."""
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert isinstance(spec.loader, importlib.machinery.SourceFileLoader)
    source = spec.loader.get_source(module)
    assert source is not None
    return source


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, path: str, mutation: Mutation) -> None:
        super().__init__(mutation.module, path)
        self._mutation = mutation

    def get_code(self, fullname: str) -> CodeType:
        source = self.get_source(fullname)
        assert source is not None
        return compile(mutated(source, self._mutation), self.path, "exec")


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, mutation: Mutation) -> None:
        self._mutation = mutation

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._mutation.module:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        assert spec is not None
        assert spec.origin is not None
        return importlib.util.spec_from_file_location(
            fullname, spec.origin, loader=_Loader(spec.origin, self._mutation)
        )


def install(mutation: Mutation) -> None:
    """Has this process import the module with the mutation; before anything imports it."""
    assert mutation.module not in sys.modules, f"{mutation.module} is imported already"
    sys.meta_path.insert(0, _Finder(mutation))


MUTATIONS: Final[Mapping[str, Mutation]] = {
    # ---- what must be durable, and when ----
    "acknowledge before fsync": Mutation(
        "consensus.node",
        "        if saved is not None:\n            await saved\n        self._raw.advance(ready)",
        "        self._raw.advance(ready)",
    ),
    "promise before fsync": Mutation(
        "consensus.node",
        "        if saved is None:\n            self._send(ready.messages_after_append)",
        "        if True:\n            self._send(ready.messages_after_append)",
        members=3,
    ),
    "skip fsync": Mutation(
        "consensus.wal",
        "self._file.datasync()\n            self._options.on_sync",
        "self._options.on_sync",
        seed=1,
    ),
    "apply twice after restart": Mutation(
        "storage.writer",
        "(batch.applied_index, batch.revision, batch.compact_revision),",
        "(max(batch.applied_index - 1, 0), batch.revision, batch.compact_revision),",
    ),
    "cut the log above what the store holds durably": Mutation(
        "consensus.flush",
        "        durable = await self.checkpoint()\n        if durable is None:",
        "        durable = applied + self._options.snapshot_catchup_entries\n        if durable is None:",
        seed=6,
    ),
    "lose the hard state": Mutation(
        "consensus.wal_recovery",
        "Recovered(index, replay.identity, replay.hard_state,",
        "Recovered(index, replay.identity, HardState(),",
    ),
    # ---- elections ----
    "vote twice": Mutation(
        "consensus.raft.raft",
        "is_free = self.vote == message.sender or (self.vote == NONE and self.leader == NONE)",
        "is_free = True",
        members=3,
        seed=1,
    ),
    "vote for any log": Mutation(
        "consensus.raft.raft",
        "granted = is_free and self.log.is_up_to_date(message.index, message.log_term)",
        "granted = is_free",
        members=3,
        seed=2,
    ),
    "listen to old terms": Mutation(
        "consensus.raft.raft",
        "            self._refuse_stale(message)\n            return",
        "            self._refuse_stale(message)",
        members=3,
        seed=4,
    ),
    # ---- the log ----
    "commit an entry of an old term": Mutation(
        "consensus.raft.leader",
        "if index > raft.log.commit and raft.log.term(index) == raft.term:",
        "if index > raft.log.commit:",
        members=3,
        seed=4,
    ),
    "count a learner": Mutation(
        "consensus.raft.quorum",
        "sorted((acked.get(voter, 0) for voter in voters), reverse=True)",
        "sorted(acked.values(), reverse=True)",
        members=3,
    ),
    "append behind an entry of another term": Mutation(
        "consensus.raft.log",
        "if not self.matches(index, term):",
        "if index > self.last_index:",
        members=3,
        seed=2,
    ),
    "throw away what agrees": Mutation(
        "consensus.raft.log",
        "if entries and entries[0].index > self.last_index:",
        "if entries:",
        members=3,
        seed=6,
    ),
    "commit by heartbeat what was not compared": Mutation(
        "consensus.raft.replication",
        "commit = min(progress.match, raft.log.commit)",
        "commit = raft.log.commit",
        members=3,
    ),
    "forward a proposal again": Mutation(
        "consensus.raft.follower",
        "gathered, raft.forwards = raft.forwards, []",
        "gathered, raft.forwards = raft.forwards, raft.forwards[-1:] if raft.config.random() < 0.2 else []",
        members=3,
    ),
    "give request ids twice": Mutation(
        "consensus.proposals",
        'int.from_bytes(chance[:6], "big")',
        "len(chance[:6])",
        seed=29,
    ),
    # ---- snapshots ----
    "half a snapshot": Mutation(
        "consensus.snapshots",
        "    incoming.sync()\n",
        "",
        members=3,
        seed=39,
    ),
    "forget which store is in use": Mutation(
        "consensus.installer",
        "            await run(Lane.DATABASE, parts.stores.use, meta)\n",
        "",
        members=3,
    ),
    "begin the log anew before the store is in use": Mutation(
        "consensus.installer",
        "            await run(Lane.DATABASE, parts.stores.use, meta)\n"
        "            await run(Lane.LOG, parts.wal.restore, meta)\n",
        "            await run(Lane.LOG, parts.wal.restore, meta)\n"
        "            await run(Lane.DATABASE, parts.stores.use, meta)\n",
        members=3,
        seed=21,
    ),
    "keep the watches where they were when a store is exchanged": Mutation(
        "storage.watch",
        "watcher.next = max(watcher.next, told + 1)",
        "watcher.next = max(watcher.next, self._kv.revision + 1)",
        members=3,
    ),
    # ---- reads, watches, leases ----
    "skip the read barrier": Mutation(
        "consensus.server",
        "        if not request.serializable:\n            await self._replica.reads.barrier()\n        return",
        "        return",
        members=3,
        seed=1,
    ),
    "forget the round of the read barrier": Mutation(
        "consensus.raft.leader",
        "raft.reads.ack(context, member, raft.conf.voters)",
        "raft.reads.ack(context, member, (raft.id,))",
        members=3,
        seed=4,
    ),
    "read before the index is applied": Mutation(
        "consensus.reads",
        "if state.index <= self._applied:",
        "if state:",
        members=3,
        seed=2,
    ),
    "read before an entry of the term is committed": Mutation(
        "consensus.raft.leader",
        "if raft.reads.is_due and raft.log.term(raft.log.commit) == raft.term:",
        "if raft.reads.is_due:",
        members=3,
        seed=80,
    ),
    "skip a revision when a watch resumes": Mutation(
        "consensus.watch_stream",
        "self._hub.add(watch, Wanted(key, end, puts, deletes, request.prev_kv), start)",
        "self._hub.add(watch, Wanted(key, end, puts, deletes, request.prev_kv), start and start + 1)",
    ),
    "count the time of leases from their half on": Mutation(
        "consensus.lease_clock",
        "now + (lease.remaining_ttl or lease.ttl) + extension",
        "now + (lease.remaining_ttl or lease.ttl) / 2",
        members=3,
    ),
}
"""Name -> what is changed."""
