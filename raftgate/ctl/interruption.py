"""What SIGINT and SIGTERM do while a verb holds something that it has to give back."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

Handler = Callable[[int, FrameType | None], object]


class Interrupted(Exception):
    """The user, or the system, wants the verb to end."""


@contextmanager
def interruptible() -> Iterator[None]:
    """Ends the block by Interrupted when a signal comes; for the main thread."""
    with _handled(_interrupt):
        yield


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Lets signals pass by; programs that are started meanwhile get them all the same."""
    with _handled(lambda *_: None):
        yield


@contextmanager
def _handled(handler: Handler) -> Iterator[None]:
    before = [signal.signal(number, handler) for number in _SIGNALS]
    try:
        yield
    finally:
        for number, earlier in zip(_SIGNALS, before, strict=True):
            signal.signal(number, earlier)


def _interrupt(*_: object) -> NoReturn:
    raise Interrupted
