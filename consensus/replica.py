"""The running parts of one member that its request handlers share."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from consensus.apply import Applier
from consensus.env import Env
from consensus.fetch import Fetch, fetched
from consensus.node import Node
from consensus.options import Options
from consensus.reads import Reads
from raftgate.api.kv import RangeResponse, ResponseHeader, TxnResponse
from storage.machine import Machine

Read = TypeVar("Read", RangeResponse, TxnResponse)


@dataclass(frozen=True, slots=True)
class Replica:
    """One member's copy of the state, and what keeps it."""

    machine: Machine
    node: Node
    applier: Applier
    reads: Reads
    env: Env
    options: Options

    def header(self, revision: int) -> ResponseHeader:
        """The header of an answer that this member gives now."""
        return ResponseHeader(self.options.cluster_id, self.options.member.ID, revision, self.node.term)

    async def read(self, read: Callable[[], Read | Fetch[Read]]) -> Read:
        """Answers a read of the machine, in a reader's thread where rows must come from SQLite.

        Raises: errors of the catalogue.
        """
        await self.applier.whole.wait()
        found = read()
        answer = (
            found
            if isinstance(found, RangeResponse | TxnResponse)
            else await fetched(self.env, self.applier.whole, found)
        )
        assert answer.header is not None
        return msgspec.structs.replace(answer, header=self.header(answer.header.revision))
