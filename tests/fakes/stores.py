"""The stores on which locks and elections are tried: the double, and a whole member."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.fakes.env import FakeEnv
from tests.fakes.keys import KeyBackend, Store
from tests.fakes.member import running

KINDS = ("double", "member")


@asynccontextmanager
async def opened(kind: str, directory: Path) -> AsyncIterator[Store]:
    """A store that is empty."""
    if kind == "double":
        yield Store(KeyBackend())
        return
    async with running(FakeEnv(), directory) as member:
        yield Store(member.server)
