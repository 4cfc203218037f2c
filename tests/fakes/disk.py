"""FakeDisk: files in memory, with an explicit model of what a power cut leaves of them.

The model (`consensus.env.Disk` says what may be relied on):

- What was written before a `datasync` of the file returned is durable. Of everything written since, each 512-byte
  sector of each write may have reached the disk or not, independently; so may a change of length by `truncate`.
- A name made, changed or removed is durable after `sync_directory`. Of those since, each may be there or not, or only
  the first few (`crash` draws which of the two rules holds).
- After a failed sync the file reads as it was written, but what was outstanding stays so even if a later sync
  succeeds, unless it is written once more (Linux marks the pages clean).

Each operation that changes something is a step; `at(n)` is the disk after its first n steps, `crash(random)` one of
the disks that may be found after a power cut. So any point of a run can be cut afterwards, as often as wanted.
"""

import errno
import os
import random
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath

SECTOR = 512

WRITES = frozenset({"write", "allocate", "truncate"})
SYNCS = frozenset({"datasync", "sync_directory"})
NAMES = frozenset({"create", "mkdir", "rename", "remove"})


@dataclass(slots=True)
class _Write:
    offset: int
    data: bytes
    is_stuck: bool = False
    """A sync has failed since: no later one makes it durable."""

    def sectors(self) -> Iterator["_Write"]:
        position = self.offset
        end = self.offset + len(self.data)
        while position < end:
            stop = min(end, (position // SECTOR + 1) * SECTOR)
            yield _Write(position, self.data[position - self.offset : stop - self.offset], self.is_stuck)
            position = stop

    def apply(self, content: bytearray) -> None:
        content.extend(bytes(max(0, self.offset - len(content))))
        content[self.offset : self.offset + len(self.data)] = self.data


@dataclass(slots=True)
class _Truncate:
    size: int

    def apply(self, content: bytearray) -> None:
        content.extend(bytes(max(0, self.size - len(content))))
        del content[self.size :]


@dataclass(slots=True, eq=False)
class _Inode:
    """A file: what reads see, what is durable, and what lies between, in order."""

    content: bytearray = field(default_factory=bytearray)
    durable: bytearray = field(default_factory=bytearray)
    pending: list[_Write | _Truncate] = field(default_factory=list)
    has_stuck: bool = False

    def change(self, change: _Write | _Truncate) -> None:
        change.apply(self.content)
        if self.has_stuck and isinstance(change, _Write):
            self._free(change)
        self.pending.append(change)

    def _free(self, write: _Write) -> None:
        # Writing into a sector makes all of it due again, as it does a page in the system's cache.
        touched = range(write.offset // SECTOR, (write.offset + len(write.data) - 1) // SECTOR + 1)
        for old in self.pending:
            if isinstance(old, _Write) and old.is_stuck and old.offset // SECTOR in touched:
                old.is_stuck = False

    def sync(self) -> None:
        left: list[_Write | _Truncate] = []
        for change in self.pending:
            if isinstance(change, _Write) and change.is_stuck:
                left.append(change)
            else:
                change.apply(self.durable)
        self.pending = left
        self.has_stuck = bool(left)

    def fail_sync(self) -> None:
        split: list[_Write | _Truncate] = []
        for change in self.pending:
            if isinstance(change, _Write):
                split.extend(change.sectors())
            else:
                split.append(change)
        for part in split:
            if isinstance(part, _Write):
                part.is_stuck = True
        self.pending = split
        self.has_stuck = True

    def survivor(self, chance: random.Random) -> bytearray:
        content = bytearray(self.durable)
        share = chance.choice((0.0, 0.1, 0.5, 0.9, 1.0))
        for change in self.pending:
            for part in change.sectors() if isinstance(change, _Write) else (change,):
                if chance.random() < share:
                    part.apply(content)
        return content


@dataclass(frozen=True, slots=True)
class _Link:
    """A change of names: `path` gets the inode (None: a directory) or, with `gone`, goes."""

    path: PurePath
    inode: _Inode | None = None
    old: PurePath | None = None
    """A rename: the name that goes."""
    gone: bool = False

    def apply(self, names: dict[PurePath, _Inode | None]) -> None:
        if self.old is not None:
            names.pop(self.old, None)
        if self.gone:
            names.pop(self.path, None)
        else:
            names[self.path] = self.inode


@dataclass(frozen=True, slots=True)
class Step:
    """One operation that changed the disk."""

    kind: str
    """write allocate truncate datasync | create mkdir rename remove sync_directory."""
    path: PurePath
    replay: Callable[["FakeDisk"], None]


class FakeFile:
    """An open file of a FakeDisk (`consensus.env.File`)."""

    def __init__(self, disk: "FakeDisk", path: PurePath, inode: _Inode, number: int) -> None:
        self._disk = disk
        self._path = path
        self._inode = inode
        self._number = number
        self._is_closed = False

    def pwrite(self, data: bytes, offset: int) -> None:
        self._change("write", _Write(offset, bytes(data)))

    def pread(self, size: int, offset: int) -> bytes:
        self._check()
        return bytes(self._inode.content[offset : offset + size])

    def size(self) -> int:
        self._check()
        return len(self._inode.content)

    def allocate(self, size: int) -> None:
        begin = self.size()
        if begin < size:
            self._change("allocate", _Write(begin, bytes(size - begin)))

    def truncate(self, size: int) -> None:
        self._change("truncate", _Truncate(size))

    def datasync(self) -> None:
        self._check()
        number = self._number

        def sync(disk: FakeDisk) -> None:
            disk._inodes[number].sync()

        def fail(disk: FakeDisk) -> None:
            disk._inodes[number].fail_sync()

        try:
            self._disk._fail("datasync", self._path)
        except OSError:
            self._disk._record("datasync failed", self._path, fail)
            raise
        self._disk._record("datasync", self._path, _nothing if self._disk.is_lying else sync)

    def close(self) -> None:
        self._is_closed = True

    def _change(self, kind: str, change: _Write | _Truncate) -> None:
        self._check()
        try:
            self._disk._fail(kind, self._path)
        except OSError:
            if isinstance(change, _Write):  # a part of it may have gone through
                self._record_change(kind + " failed", _Write(change.offset, change.data[: len(change.data) // 2]))
            raise
        self._record_change(kind, change)

    def _record_change(self, kind: str, change: _Write | _Truncate) -> None:
        def replay(disk: FakeDisk, number: int = self._number) -> None:
            again = _Write(change.offset, change.data) if isinstance(change, _Write) else _Truncate(change.size)
            disk._inodes[number].change(again)

        self._disk._record(kind, self._path, replay)

    def _check(self) -> None:
        if self._is_closed:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF), str(self._path))


class FakeDisk:
    """Files in memory (`consensus.env.Disk`); see the module's text for what lasts."""

    def __init__(
        self, files: Mapping[Path, bytes | None] | None = None, *, is_lying: bool = False, keeps_steps: bool = True
    ) -> None:
        """`files`: durable from the start, like their directories (None: an empty one).

        `is_lying`: `datasync` makes nothing durable; `keeps_steps`: needed for `at`, to be turned off in long runs.
        """
        self.is_lying = is_lying
        self.steps: list[Step] = []
        self.count = 0
        """Steps so far."""
        self._keeps_steps = keeps_steps
        self._base: dict[PurePath, bytes | None] = {PurePath("/"): None}
        for path, content in (files or {}).items():
            self._base.update((parent, None) for parent in path.parents)
            self._base[path] = content
        self._inodes: list[_Inode] = []
        self._names: dict[PurePath, _Inode | None] = {}
        self._pending_names: list[_Link] = []
        self._failures: list[_Failure] = []
        for name, durable in self._base.items():
            self._names[name] = None
            if durable is not None:
                self._names[name] = inode = _Inode(bytearray(durable), bytearray(durable))
                self._inodes.append(inode)
        self._durable_names = dict(self._names)

    # ---- consensus.env.Disk ----

    def open(self, path: Path, *, create: bool = False) -> FakeFile:
        inode = self._names.get(path)
        if path in self._names and inode is None:
            raise _error(errno.EISDIR, path)
        if inode is None:
            if not create:
                raise _error(errno.ENOENT, path)
            self._need_directory(path.parent)
            self._name("create", path, lambda disk: disk._create(path))
            inode = self._names[path]
            assert inode is not None
        file = FakeFile(self, path, inode, self._inodes.index(inode))
        if create and inode.content:
            file.truncate(0)
        return file

    def listdir(self, path: Path) -> list[str]:
        self._need_directory(path)
        return sorted(name.name for name in self._names if name.parent == path and name != path)

    def make_directory(self, path: Path) -> None:
        self._need_directory(path.parent)
        if path not in self._names:
            self._name("mkdir", path, lambda disk: disk._link(_Link(path)))
        self._need_directory(path)

    def rename(self, old: Path, new: Path) -> None:
        if old not in self._names:
            raise _error(errno.ENOENT, old)
        self._need_directory(new.parent)
        self._name("rename", new, lambda disk: disk._link(_Link(new, disk._names[old], old)))

    def remove(self, path: Path) -> None:
        if self._names.get(path) is None:
            raise _error(errno.ENOENT, path)
        self._name("remove", path, lambda disk: disk._link(_Link(path, gone=True)))

    def sync_directory(self, path: Path) -> None:
        self._need_directory(path)
        self._name("sync_directory", path, lambda disk: disk._sync_names(path))

    def exists(self, path: Path) -> bool:
        return path in self._names

    # ---- power cuts ----

    def at(self, count: int) -> "FakeDisk":
        """The disk as it was after its first `count` steps."""
        return next(disk for disk in self.moments() if disk.count == count)

    def moments(self) -> Iterator["FakeDisk"]:
        """The disk as it was before each of its steps and at the end: one object, which goes on with the iteration."""
        assert self._keeps_steps
        disk = FakeDisk({Path(name): content for name, content in self._base.items()}, is_lying=self.is_lying)
        yield disk
        for step in self.steps:
            disk._record(step.kind, step.path, step.replay)
            yield disk

    def crash(self, chance: random.Random) -> "FakeDisk":
        """A disk that may be found after a power cut now; all that is on it is durable."""
        names = dict(self._durable_names)
        share, is_ordered = chance.choice((0.0, 0.5, 1.0)), chance.random() < 0.5
        for link in self._pending_names:
            if chance.random() < share:
                link.apply(names)
            elif is_ordered:
                break
        files = {
            Path(name): None if inode is None else bytes(inode.survivor(chance))
            for name, inode in names.items()
            if all(parent in names for parent in name.parents)
        }
        return FakeDisk(files, is_lying=self.is_lying, keeps_steps=self._keeps_steps)

    def files(self) -> dict[Path, bytes]:
        """What a running process reads, by path."""
        return {Path(path): bytes(inode.content) for path, inode in self._names.items() if inode is not None}

    # ---- failures ----

    def fail(self, nth: int, kinds: Collection[str] = WRITES | SYNCS | NAMES, code: int = errno.EIO) -> None:
        """Makes the nth operation of these kinds from now on fail (0: the next); only that one."""
        self._failures.append(_Failure(nth, frozenset(kinds), code))

    def mend(self) -> None:
        """Takes back failures that have not happened yet."""
        self._failures.clear()

    def _fail(self, kind: str, path: PurePath) -> None:
        for failure in self._failures:
            if kind in failure.kinds:
                failure.left -= 1
                if failure.left < 0:
                    self._failures.remove(failure)
                    raise _error(failure.code, path)

    # ---- state ----

    def _record(self, kind: str, path: PurePath, replay: Callable[["FakeDisk"], None]) -> None:
        self.count += 1
        if self._keeps_steps:
            self.steps.append(Step(kind, path, replay))
        replay(self)

    def _name(self, kind: str, path: PurePath, replay: Callable[["FakeDisk"], None]) -> None:
        self._fail(kind, path)
        self._record(kind, path, replay)

    def _create(self, path: PurePath) -> None:
        self._inodes.append(_Inode())
        self._link(_Link(path, self._inodes[-1]))

    def _link(self, link: _Link) -> None:
        link.apply(self._names)
        self._pending_names.append(link)

    def _sync_names(self, path: PurePath) -> None:
        for link in self._pending_names:
            if link.path.parent == path:
                link.apply(self._durable_names)
        self._pending_names = [link for link in self._pending_names if link.path.parent != path]

    def _need_directory(self, path: PurePath) -> None:
        if path not in self._names:
            raise _error(errno.ENOENT, path)
        if self._names[path] is not None:
            raise _error(errno.ENOTDIR, path)


@dataclass(slots=True)
class _Failure:
    left: int
    kinds: frozenset[str]
    code: int


def _nothing(disk: FakeDisk) -> None:
    """What a sync of a lying disk does."""


def _error(code: int, path: PurePath) -> OSError:
    return OSError(code, os.strerror(code), str(path))
