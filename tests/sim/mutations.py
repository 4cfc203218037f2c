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
    "acknowledge before fsync": Mutation(
        "consensus.node",
        "        if persisted is not None:\n            await persisted\n",
        "",
    ),
    "skip fsync": Mutation(
        "consensus.wal",
        "self._file.datasync()\n            self._options.on_sync",
        "self._options.on_sync",
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
    ),
    "lose the hard state": Mutation(
        "consensus.wal_recovery",
        "Recovered(index, replay.identity, replay.hard_state,",
        "Recovered(index, replay.identity, HardState(),",
    ),
    "vote twice": Mutation(
        "consensus.raft.raft",
        "is_free = self.vote == message.sender or (self.vote == NONE and self.leader == NONE)",
        "is_free = True",
        members=3,
    ),
    "vote for any log": Mutation(
        "consensus.raft.raft",
        "granted = is_free and self.log.is_up_to_date(message.index, message.log_term)",
        "granted = is_free",
        members=3,
    ),
    "commit an entry of an old term": Mutation(
        "consensus.raft.leader",
        "if index > raft.log.commit and raft.log.term(index) == raft.term:",
        "if index > raft.log.commit:",
        members=3,
    ),
    "skip the read barrier": Mutation(
        "consensus.server",
        "        if not request.serializable:\n            await self._replica.reads.barrier()\n        return",
        "        return",
        members=3,
    ),
}
"""Name -> what is changed."""
