"""VirtualLoop: an asyncio event loop whose clock jumps to the next thing to do, and processes that live on it.

Nothing waits for real time, so that hours pass in moments, and the same inputs give the same run: the order of
callbacks follows from how they were scheduled and from nothing else; no file, socket or thread takes part.

Each callback belongs to the Process in whose context it was scheduled, or to none (the world: clients, network, the
simulation itself). What belongs to a stopped process is held back until it goes on (SIGSTOP); what belongs to a
killed one never runs again, not even its `finally` (kill -9).
"""

import asyncio
import heapq
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextvars import Context, ContextVar, copy_context
from typing import Any, Final, TypeVar

T = TypeVar("T")

_PROCESS: Final[ContextVar["Process | None"]] = ContextVar("process", default=None)

_ATTEMPTS: Final = 10


class Stuck(Exception):
    """Nothing is left to happen, and the simulation has not ended."""


class VirtualLoop(asyncio.BaseEventLoop):
    """The loop; `after_step` is called after each round of callbacks."""

    # Parts of BaseEventLoop that its own subclasses use, unknown to typeshed.
    _ready: deque[asyncio.Handle]
    _scheduled: list[asyncio.TimerHandle]

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self.steps = 0
        self.after_step: Callable[[], None] = lambda: None
        self.failures: list[str] = []
        """What went wrong in the world's callbacks that nobody waits for, and whatever else must end the run."""
        self._tasks: dict[asyncio.Task[Any], None] = {}  # Any: whatever they answer; a dict, for its order
        self._is_ending = False
        self._own = copy_context()
        self.set_exception_handler(self._failed)
        self.set_task_factory(_make_task)

    def time(self) -> float:
        """Seconds of virtual time since the loop was made."""
        return self._now

    def elapse(self, seconds: float) -> "asyncio.Future[None]":
        """A future that is done after so much virtual time."""
        future: asyncio.Future[None] = self.create_future()
        self.call_later(seconds, _finish, future)
        return future

    def _run_once(self) -> None:
        scheduled = self._scheduled
        while scheduled and scheduled[0].cancelled():
            heapq.heappop(scheduled)
        if not self._ready:
            if not scheduled:
                raise Stuck("nothing is scheduled")
            self._now = max(self._now, scheduled[0].when())
        while scheduled and scheduled[0].when() <= self._now:
            self._ready.append(heapq.heappop(scheduled))
        for _ in range(len(self._ready)):
            self._run(self._ready.popleft())
        self.steps += 1
        self.after_step()

    def _run(self, handle: asyncio.Handle) -> None:
        if handle.cancelled():
            return
        process = handle._context.get(_PROCESS)  # type: ignore[attr-defined]  # unknown to typeshed
        if process is None or process.takes(handle):
            handle._run()

    def hold(self, handles: list[asyncio.Handle]) -> None:
        """Takes handles that a process has held back."""
        self._ready.extend(handles)

    def keep(self, task: asyncio.Task[Any]) -> None:  # Any: whatever it answers
        """Keeps a task alive until the end: the garbage collector must not choose when its `finally` runs."""
        self._tasks[task] = None
        task.add_done_callback(self._forget, context=self._own)

    def _forget(self, task: asyncio.Task[Any]) -> None:  # Any: as above
        self._tasks.pop(task, None)

    def end(self) -> None:
        """Closes the loop and the coroutines that have not ended."""
        self._is_ending = True
        for task in self._tasks:
            task._log_destroy_pending = False  # type: ignore[attr-defined]  # unknown to typeshed
            _close(task.get_coro())
        self._tasks.clear()
        self.close()

    def _asyncgen_finalizer_hook(self, generator: AsyncGenerator[Any, Any]) -> None:  # Any: whatever it yields
        """Ends a generator that nobody goes on with, as asyncio does; one of the dead is left as it is."""
        if not self._is_ending:
            self.call_soon(self.create_task, generator.aclose())

    def _process_events(self, event_list: object) -> None:
        """There are none."""

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Cancelled timers are dropped when their time comes."""

    def _failed(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:  # Any: asyncio's
        task, handle = context.get("task") or context.get("future"), context.get("handle")
        process = getattr(task, "process", None) if handle is None else handle._context.get(_PROCESS)
        error = context.get("exception")
        if process is None:
            self.failures.append(f"{context.get('message')}: {error!r}")
        elif process.is_alive:
            process.on_failure(error)


class Process:
    """Callbacks that run, stop and die together."""

    def __init__(self, loop: VirtualLoop, name: str) -> None:
        self.loop = loop
        self.name = name
        self.context = copy_context()
        self.context.run(_PROCESS.set, self)
        self.is_alive = True
        self.is_stopped = False
        self.on_death: list[Callable[[], None]] = []
        """Called once when it is killed, by the world."""
        self.on_failure: Callable[[BaseException | None], None] = lambda error: loop.failures.append(
            f"{name}: {error!r}"
        )
        """Called with what went wrong in a callback of it that nobody waits for."""
        self._held: list[asyncio.Handle] = []

    def spawn(self, coroutine: Coroutine[Any, Any, T], name: str | None = None) -> asyncio.Task[T]:
        """Starts a task of the process."""
        return self.loop.create_task(coroutine, name=name, context=self.context)

    def later(self, delay: float, callback: Callable[..., object], *args: Any) -> asyncio.TimerHandle:
        """Has the process do something after `delay` seconds, or when it goes on."""
        return self.loop.call_later(delay, callback, *args, context=self.context)

    def takes(self, handle: asyncio.Handle) -> bool:
        """Whether a callback may run now; one that may not is kept or, of a dead process, dropped."""
        if self.is_alive and self.is_stopped:
            self._held.append(handle)
        return self.is_alive and not self.is_stopped

    def stop(self) -> None:
        """SIGSTOP."""
        self.is_stopped = True

    def resume(self) -> None:
        """SIGCONT: all that has come due meanwhile happens now."""
        self.is_stopped = False
        held, self._held = self._held, []
        self.loop.hold(held)

    def kill(self) -> None:
        """SIGKILL: nothing of it ever runs again."""
        if not self.is_alive:
            return
        self.is_alive = False
        self._held.clear()
        for callback in self.on_death:
            callback()


class _Task(asyncio.Task[T]):
    """A task that knows its process, for the report of a failure."""

    process: Process | None = None


def _make_task(
    loop: asyncio.AbstractEventLoop,
    coroutine: Coroutine[Any, Any, T] | Generator[Any, None, T],
    *,
    context: Context | None = None,
    **others: Any,  # of later Pythons: a name, an eager start
) -> asyncio.Task[T]:
    process = _PROCESS.get() if context is None else context.get(_PROCESS)
    task = _Task(coroutine, loop=loop, context=context, **others)
    task.process = process
    assert isinstance(loop, VirtualLoop)
    loop.keep(task)
    return task


def _finish(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


def _close(coroutine: Any) -> None:  # Any: typeshed knows it as optional, by version
    """Closes a coroutine that may have to wait for others on its way out, which it does in vain."""
    for _ in range(_ATTEMPTS):
        try:
            coroutine.close()
        except RuntimeError:  # it waits for something, or asks for the loop that runs
            continue
        return
