"""/health, /livez and /readyz: what probes and load balancers go by (etcd server/etcdserver/api/etcdhttp/health.go).

All is asked through the backend. Concurrent probes share one quorum read, each check has a deadline of its own, and
the order of lines is fixed.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TypeVar
from urllib.parse import parse_qs

from starlette.types import Scope

from gateway.auth import NOBODY
from gateway.backend import Backend
from gateway.options import Check, Options
from gateway.replies import GET_ONLY, TEXT, Headers, Reply, make_reply
from raftgate.api.errors import EtcdError, NoLeader, NotSupportedForLearner, PermissionDenied, Timeout, UserEmpty
from raftgate.api.kv import RangeRequest
from raftgate.api.maintenance import AlarmType, StatusRequest
from raftgate.api.message import Caller

_LOG = logging.getLogger(__name__)

_PLAIN: Headers = [(b"content-type", b"text/plain; charset=utf-8")]
_NEEDS_LEADER = Caller(needs_leader=True)
_KEY = b"\0"  # the lowest key there can be: looking it up costs the same however many keys there are
_LOCAL_READ = RangeRequest(key=_KEY, limit=1, keys_only=True, serializable=True)
_QUORUM_READ = RangeRequest(key=_KEY, limit=1, keys_only=True)
_ALARM = "alarm:"  # in the status, before the type of an active one
_WARN_SECONDS = 10.0  # between two warnings about one check

T = TypeVar("T")
Handler = Callable[[Scope], Awaitable[Reply]]


class Unhealthy(Exception):
    """A check's finding, as its text."""


class Health:
    """The health endpoints of one gateway."""

    def __init__(self, backend: Backend, options: Options) -> None:
        self._backend = backend
        self._options = options
        self._stats = options.metrics.health
        self._quorum_read: asyncio.Task[EtcdError | None] | None = None
        self._warned: dict[tuple[str, str], float] = {}
        self._live: dict[str, Check] = {"serializable_read": self._read_locally, **options.live_checks}
        self._ready: dict[str, Check] = {
            "data_corruption": self._find_corruption,
            "serializable_read": self._read_locally,
            "linearizable_read": self._read_by_quorum,
            "non_learner": self._find_learner,
            **options.live_checks,
            **options.ready_checks,
            "draining": self._find_draining,
        }
        # Lines of our own checks show only when they fail: the answers of a healthy member are etcd's to the byte.
        self._etcds = {"data_corruption", "serializable_read", "linearizable_read", "non_learner"}

    def handlers(self) -> dict[str, Handler]:
        """Path -> handler, single checks included."""
        handlers: dict[str, Handler] = {"/health": self.health}
        for kind, checks in (("livez", self._live), ("readyz", self._ready)):
            handlers[f"/{kind}"] = self._probe(kind, checks)
            for name, check in checks.items():
                handlers[f"/{kind}/{name}"] = self._probe(kind, {name: check}, single=True)
        return handlers

    async def health(self, scope: Scope) -> Reply:
        """Alarms, leader, one read: the first that is wrong is the reason."""
        if scope["method"] != "GET":
            return GET_ONLY
        query = _query(scope)
        serializable = query.get("serializable", [""])[0] == "true"
        reason = await self._reason(frozenset(query.get("exclude", [])), serializable=serializable)
        self._stats.health(success=not reason)
        health = {"health": "false" if reason else "true", "reason": reason}
        body = json.dumps(health, separators=(",", ":")).encode()
        if not reason:
            return make_reply(200, _PLAIN, body)
        self._warn("health", "health", reason)
        return make_reply(503, TEXT, body + b"\n")

    async def _reason(self, excluded: frozenset[str], *, serializable: bool) -> str:
        try:
            alarms = await self._alarms()
            for alarm in alarms:
                if alarm not in excluded:
                    return f"ALARM {alarm if alarm in ('NOSPACE', 'CORRUPT') else 'UNKNOWN'}"
            if not serializable:
                await self._bounded(self._backend.call(_LOCAL_READ, _NEEDS_LEADER))
            await (self._read_locally() if serializable else self._read_by_quorum())
        except NoLeader:
            return "RAFT NO LEADER"
        except (UserEmpty, PermissionDenied):
            return ""
        except EtcdError as error:
            return f"RANGE ERROR:{error.text}"
        return ""

    async def _alarms(self) -> list[str]:
        """By the status, which needs no quorum (etcd etcdhttp/health.go asks the member's own store)."""
        status = await self._bounded(self._backend.call(StatusRequest(), NOBODY))
        return [error.rpartition(_ALARM)[2].strip() for error in status.errors if _ALARM in error]

    async def _find_corruption(self) -> None:
        if AlarmType.CORRUPT in await self._alarms():
            raise Unhealthy("alarm activated: CORRUPT")

    async def _find_draining(self) -> None:
        if self._options.draining():
            raise Unhealthy("the server is stopping")

    async def _find_learner(self) -> None:
        try:
            await self._read_by_quorum(learner=True)
        except NotSupportedForLearner:
            raise Unhealthy("not supported for learner") from None
        except EtcdError:
            return  # a member without a quorum is none the less a voter

    async def _read_locally(self) -> None:
        # With auth on a probe is nobody; that the store refuses nobody shows that it reads (health.go: ErrUserEmpty).
        try:
            await self._bounded(self._backend.call(_LOCAL_READ, NOBODY))
        except (UserEmpty, PermissionDenied):
            return

    async def _read_by_quorum(self, *, learner: bool = False) -> None:
        """Joins the quorum read that is under way, or begins one; with `learner` a learner's refusal counts."""
        if self._quorum_read is None or self._quorum_read.done():
            self._quorum_read = asyncio.create_task(self._read_once())
        error = await asyncio.shield(self._quorum_read)
        if error is None or isinstance(error, UserEmpty | PermissionDenied):
            return
        if learner or not isinstance(error, NotSupportedForLearner):
            raise error

    async def _read_once(self) -> EtcdError | None:
        """The result is returned, not raised: nobody may be left to hear of it."""
        try:
            await self._bounded(self._backend.call(_QUORUM_READ, _NEEDS_LEADER))
        except EtcdError as error:
            return error
        except Exception as error:  # noqa: BLE001 - a probe tells of any fault instead of failing itself
            return EtcdError(type(error).__name__)
        return None

    async def _bounded(self, call: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._options.health_timeout):
                return await call
        except TimeoutError:
            raise Timeout from None

    def _probe(self, kind: str, checks: Mapping[str, Check], *, single: bool = False) -> Handler:
        async def probe(scope: Scope) -> Reply:
            if scope["method"] != "GET":
                return GET_ONLY
            query = _query(scope)
            excluded = [] if single else query.get("exclude", [])
            names = [name for name in checks if name not in excluded]
            failures = await asyncio.gather(*(self._run(kind, name, checks[name]) for name in names))
            lines = self._lines(names, failures, single=single)
            if any(failures):
                return make_reply(503, TEXT, (lines + "\n").encode())
            return make_reply(200, TEXT, ((lines if "verbose" in query else "") + "ok\n").encode())

        return probe

    def _lines(self, names: Iterable[str], failures: Sequence[str], *, single: bool) -> str:
        lines = []
        for name, failure in zip(names, failures, strict=True):
            if failure:
                lines.append(f"[-]{name} failed: {failure}\n")
            elif single or name in self._etcds:
                lines.append(f"[+]{name} ok\n")
        return "".join(lines)

    async def _run(self, kind: str, name: str, check: Check) -> str:
        """Runs one check within its time; the text of its failure, or nothing."""
        failure = ""
        try:
            await self._bounded(check())
        except EtcdError as error:
            failure = error.text
        except Exception as error:  # noqa: BLE001 - a probe tells of any fault instead of failing itself
            failure = str(error) or type(error).__name__
        self._stats.check(kind, name, success=not failure)
        if failure:
            self._warn(kind, name, failure)
        return failure.replace("\n", " ")

    def _warn(self, kind: str, name: str, failure: str) -> None:
        now = self._options.clock()
        if now - self._warned.get((kind, name), -_WARN_SECONDS) >= _WARN_SECONDS:
            self._warned[kind, name] = now
            _LOG.warning("%s check %s failed: %s", kind, name, failure)


def _query(scope: Scope) -> dict[str, list[str]]:
    return parse_qs(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
