"""Reads that the loop cannot answer from memory at once: the past, values that were let go, and large ranges.

Three steps. On the loop, `collect` gathers what there was at one revision, in pieces. In a reader's thread, `run` gets
rows from SQLite and makes the answer of them; it touches nothing that the loop may change. On the loop again, `close`
gives the revision free, below which compactions must not delete.
"""

from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

from raftgate.api.errors import EtcdError
from raftgate.api.kv import (
    Compare,
    CompareTarget,
    RangeRequest,
    RangeResponse,
    RequestOp,
    ResponseHeader,
    ResponseOp,
    TxnRequest,
    TxnResponse,
)
from storage.gathering import Gathering
from storage.kv import Kv, NotInMemory
from storage.reader import Readers
from storage.row import Load
from storage.txn import check_range, holds

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Source(Protocol[R_co]):
    """What an answer is made of."""

    def pieces(self) -> Iterator[None]:
        """Gathers on the loop, giving way between two pieces."""
        ...

    def answer(self, load: Load) -> R_co:
        """Makes the answer of what is gathered, in any thread."""
        ...

    def let_go(self) -> None:
        """Lets go of what was gathered without holding others up."""
        ...


class Fetch(Generic[R]):
    """An answer that is still to be got."""

    def __init__(
        self,
        kv: Kv,
        revision: int,
        readers: Readers,
        source: Source[R],
        remember: Callable[[R], None] | None = None,
    ) -> None:
        """`revision`: the lowest one that is read; `remember` is told the answer on the loop in the end."""
        self._kv = kv
        self._revision: int | None = revision
        self._readers = readers
        self._source = source
        self._pieces = source.pieces()
        self._remember = remember
        self._answer: R | None = None
        self.is_collected = False
        """Whether `collect` has nothing left to do: true from the start for all but large ranges."""
        kv.register(revision)
        self._collect_piece()

    def collect(self) -> Iterator[None]:
        """Gathers on the loop, giving way between pieces of a few milliseconds; others may read and write meanwhile."""
        while not self.is_collected:
            yield
            self._collect_piece()

    def at_once(self) -> R | None:
        """The answer, if nothing of it lies in SQLite."""
        try:
            return self._source.answer(self._kv.load) if self.is_collected else None
        except NotInMemory:
            return None

    def run(self) -> R:
        """Gets the answer; in a reader's thread, after `collect`.

        Raises: what the request's check of revisions raises, for a transaction.
        """
        if not self.is_collected:
            raise RuntimeError("not everything is collected yet")
        try:
            answer = self._source.answer(self._readers.load)
        finally:
            self._source.let_go()
        if self._remember is not None:
            self._answer = answer
        return answer

    def close(self) -> None:
        """Gives the revision free, on the loop; may be called again."""
        if self._revision is not None:
            self._kv.unregister(self._revision)
            self._revision = None
            if self._remember is not None and self._answer is not None:
                self._remember(self._answer)

    def _collect_piece(self) -> None:
        try:
            self.is_collected = next(self._pieces, self) is self
        except BaseException:
            self.close()
            raise


def fetch_range(kv: Kv, readers: Readers, request: RangeRequest) -> Fetch[RangeResponse]:
    """A fetch for a range whose revision has been checked."""
    revision = request.revision if kv.is_past(request.revision) else kv.revision
    gathering = Gathering(kv, request, revision)
    is_value = not request.range_end and not request.keys_only and revision == kv.revision

    def remember(response: RangeResponse) -> None:
        # Of a single key that is read now, the value comes back; ranges would push out what is read more often.
        if is_value:
            for each in response.kvs:
                kv.remember(each)

    return Fetch(kv, revision, readers, gathering, remember)


def fetch_txn(kv: Kv, readers: Readers, request: TxnRequest) -> Fetch[TxnResponse]:
    """A fetch for a read-only transaction."""
    reading = _Reading(kv, request)
    return Fetch(kv, reading.lowest, readers, reading)


class _Reading:
    """A read-only transaction on its way: both branches, until the compares are decided."""

    def __init__(self, kv: Kv, request: TxnRequest) -> None:
        self._kv = kv
        self._header = ResponseHeader(revision=kv.revision)
        self._compared = [(compare, self._gathering(_range_of(compare))) for compare in request.compare]
        self._branches = {True: self._operations(request.success), False: self._operations(request.failure)}
        self._succeeded: bool | None = None
        gatherings = [op for branch in self._branches.values() for op in branch if isinstance(op, Gathering)]
        self.lowest = min((gathering.revision for gathering in gatherings), default=kv.revision)
        """The lowest revision that is read."""

    def pieces(self) -> Iterator[None]:
        """Gathers, giving way between two pieces."""
        compared = [gathering for _, gathering in self._compared]
        yield from self._gather(compared)
        chosen = self._branches[True] + self._branches[False]
        if sum(gathering.count for gathering in compared) <= self._kv.options.large:
            try:
                self._succeeded = self._decide(self._kv.load)
                chosen = self._branches[self._succeeded]
            except NotInMemory:
                pass  # then it is decided in the thread
        self._kv.metrics.ranges += len(self._compared) + len(chosen)
        self._kv.metrics.txns += len(self._compared) + len(chosen) > 1
        yield from self._gather([op for op in chosen if isinstance(op, Gathering)])

    def answer(self, load: Load) -> TxnResponse:
        """The answer, when all is gathered.

        Raises: FutureRev, Compacted.
        """
        succeeded = self._decide(load) if self._succeeded is None else self._succeeded
        chosen = self._branches[succeeded]
        for op in chosen:
            if isinstance(op, EtcdError):
                raise op
        responses = [
            ResponseOp(response_range=gathering.answer(load))
            for gathering in chosen
            if isinstance(gathering, Gathering)
        ]
        return TxnResponse(self._header, succeeded, tuple(responses))

    def let_go(self) -> None:
        """Lets go of what was gathered, for compares and in both branches."""
        for _, gathering in self._compared:
            gathering.let_go()
        for op in self._branches[True] + self._branches[False]:
            if isinstance(op, Gathering):
                op.let_go()

    def _decide(self, load: Load) -> bool:
        for compare, gathering in self._compared:
            if compare.target is CompareTarget.VALUE:
                gathering.load(load, values=True)
            if not holds(compare, gathering.kvs, load):
                return False
        return True

    def _operations(self, ops: tuple[RequestOp, ...]) -> list[Gathering | EtcdError]:
        """A gathering for each range, or the error that reading it gives."""
        found: list[Gathering | EtcdError] = []
        for op in ops:
            assert op.request_range is not None, "a read-only transaction holds ranges only"
            try:
                check_range(self._kv, op.request_range)
                found.append(self._gathering(op.request_range))
            except EtcdError as error:
                found.append(error)
        return found

    def _gather(self, gatherings: list[Gathering]) -> Iterator[None]:
        keys = 0
        for gathering in gatherings:
            yield from gathering.pieces()
            keys += gathering.count
            if keys > self._kv.options.large:
                keys = 0
                yield

    def _gathering(self, request: RangeRequest) -> Gathering:
        kv = self._kv
        return Gathering(kv, request, request.revision if kv.is_past(request.revision) else kv.revision)


def _range_of(compare: Compare) -> RangeRequest:
    return RangeRequest(compare.key, compare.range_end)
