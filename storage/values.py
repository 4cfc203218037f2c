"""The budget of values in memory: what is beyond it leaves, oldest first, once SQLite has it.

First in, first out, by the moment at which a value came into memory; nothing is noted when it is read, or replaced by
another one in memory. Each key whose value is here has one entry in the queue. Entries of keys that have been deleted
since are told by their create_revision, and dropped as they come up.
"""

from collections import deque
from typing import Final

from raftgate.api.kv import KeyValue
from storage.history import History
from storage.index import Index
from storage.row import SUB_MASK, Stub

SMALL: Final = 32
"""Bytes up to which a value is not worth leaving: what stands in its place would take as much."""
OVERHEAD: Final = 48
"""Bytes that a larger value takes besides its own."""
STEPS: Final = 4_000
"""Entries of the queue looked at in one go."""


class Values:
    """The values that are in memory."""

    __slots__ = ("_budget", "_history", "_index", "_queue", "evicted", "size")

    def __init__(self, index: Index, history: History, budget: int) -> None:
        self._index = index
        self._history = history
        self._budget = budget
        self._queue: deque[bytes | int] = deque()  # key, create_revision, key, create_revision ...
        self.size = 0
        """Bytes of the values in memory that count."""
        self.evicted = 0
        """Keys whose value is not in memory."""

    def added(self, kv: KeyValue) -> None:
        """Counts the value of a key that has come to life, or whose value has come back."""
        size = len(kv.value)
        if size > SMALL:
            self.size += size + OVERHEAD
        self._queue.append(kv.key)
        self._queue.append(kv.create_revision)

    def loaded(self, kv: KeyValue) -> None:
        """Counts a live key of the file."""
        if type(kv) is Stub:
            self.evicted += 1
        else:
            self.added(kv)

    def replaced(self, previous: KeyValue, kv: KeyValue) -> None:
        """Counts the new value of a live key."""
        if type(previous) is Stub:
            self.evicted -= 1
            self.added(kv)
            return
        old, new = len(previous.value), len(kv.value)
        if old != new:
            self.size += (new + OVERHEAD if new > SMALL else 0) - (old + OVERHEAD if old > SMALL else 0)

    def removed(self, kv: KeyValue) -> None:
        """Counts no more the value of a key that is gone."""
        size = len(kv.value)
        if size > SMALL:
            self.size -= size + OVERHEAD
        elif type(kv) is Stub:
            self.evicted -= 1

    def restored(self, kv: KeyValue) -> None:
        """Counts again what a command that is taken back had removed, and whose entry is still there."""
        size = len(kv.value)
        if size > SMALL:
            self.size += size + OVERHEAD
        elif type(kv) is Stub:
            self.evicted += 1

    def evict(self, revision: int) -> None:
        """Lets go of values until the budget holds, of rows up to `revision`, the last that SQLite has."""
        queue, index, budget = self._queue, self._index, self._budget
        for _ in range(min(STEPS, len(queue) // 2)):
            if self.size <= budget and len(queue) <= 4 * len(index) + STEPS:
                break
            key, create_revision = queue.popleft(), queue.popleft()
            assert isinstance(key, bytes), "keys and revisions take turns"
            kv = index.get(key)
            if kv is None or kv.create_revision != create_revision or type(kv) is Stub:
                continue  # another entry stands for the key, or none need to
            size = len(kv.value)
            if size <= SMALL or kv.mod_revision > revision or self.size <= budget:
                queue.append(key)
                queue.append(create_revision)
                continue
            sub = self._history.row_id(kv) & SUB_MASK
            index.update(Stub(kv.key, kv.create_revision, kv.mod_revision, kv.version, b"", kv.lease, sub))
            self.size -= size + OVERHEAD
            self.evicted += 1
