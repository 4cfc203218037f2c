"""Whether all members hold the same: hashes over their keys are compared at one revision.

A member asks the others over the peer port before it takes part, and does not start where they say otherwise. While it
leads it asks them from time to time, and raises the CORRUPT alarm of whoever differs (etcd etcdserver/corrupt.go). etcd
takes the leader's word for it; here the majority of the members is right, if there is one.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from consensus.hashing import Hashing
from consensus.peer_codec import FORMAT_VERSION
from consensus.peer_http import PeerUnreachable
from consensus.peer_identity import Refused
from consensus.proposals import Proposals
from consensus.replica import Replica
from consensus.transport import Transport
from raftgate.api.errors import Compacted, EtcdError, FutureRev
from raftgate.api.maintenance import AlarmAction, AlarmMember, AlarmRequest, AlarmType
from storage.hash import DatabaseUnsound

log = logging.getLogger(__name__)

HASH_PATH: Final = f"/raft/v{FORMAT_VERSION}/hashkv"

ATTEMPTS: Final = 3
"""How often a comparison is made while compactions come between."""
ANYBODY: Final = 0
"""The member of an alarm of which nobody knows whom it concerns: etcd corrupt.go."""


class CorruptionFound(Exception):
    """The data of this member is not that of the others."""


class _Question(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Asks a member for its hash."""

    revision: int
    is_current: bool
    """Have it catch up first with all that is committed."""


class Claim(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a member says of its keys up to the revision that was asked for."""

    revision: int
    """That it has come to when it answers."""
    compact_revision: int
    """That the hash was made at, or that it has now, where it made none."""
    hash: int = 0
    problem: str = ""
    """Why there is no hash: the class of the error."""
    text: str = ""


_ENCODER = msgspec.msgpack.Encoder()
_QUESTIONS = msgspec.msgpack.Decoder(_Question)
_CLAIMS = msgspec.msgpack.Decoder(Claim)

Claims = Mapping[int, Claim]
"""By member; those who did not answer are absent."""
View = str | tuple[int, int]
"""What a claim comes to, equal for equal stores: compact revision and hash, or what is wrong with it."""
Views = Mapping[int, View | None]
"""By member; None: it cannot be compared."""

_TELLING: Final = ("", DatabaseUnsound.__name__, FutureRev.__name__, Compacted.__name__)
"""Problems of claims that tell something."""


class Corruption:
    """One member's part in the checks."""

    def __init__(self, replica: Replica, hashing: Hashing, proposals: Proposals, transport: Transport) -> None:
        self._replica = replica
        self._machine = replica.machine
        self._own = replica.options.member.ID
        self._hashing = hashing
        self._proposals = proposals
        self._transport = transport
        self._compared_compaction = -1
        self._timeout = max(replica.options.request_timeout, replica.options.corrupt_check_time)

    async def answer(self, body: bytes) -> bytes:
        """Answers another member's question."""
        try:
            question = _QUESTIONS.decode(body)
        except msgspec.MsgspecError as error:
            return _ENCODER.encode(self._none("Unreadable", f"{error}"))
        try:
            if question.is_current:
                await self._replica.reads.barrier()
        except EtcdError as error:
            return _ENCODER.encode(self._none("NotCurrent", error.text))
        return _ENCODER.encode(await self._claim(question.revision))

    async def check_at_start(self) -> None:
        """Compares with the members that answer, before this one takes part; what is newer than itself does not count.

        It may start where the majority holds the same, whatever another has (etcd would stop at any difference).
        Raises: CorruptionFound.
        """
        if not self._machine.applied_index:
            return
        revision = self._machine.revision
        own = await self._claim(revision)
        if own.problem:
            raise CorruptionFound(f"the database cannot be read: {own.text}")
        others = await self._ask_all(revision, is_current=False)
        views = {self._own: (own.compact_revision, own.hash)}
        for member_id, claim in others.items():
            if not claim.problem and claim.compact_revision == own.compact_revision:
                views[member_id] = claim.compact_revision, claim.hash
                continue
            fields = {
                "remote-member-id": f"{member_id:x}",
                "compact-revision": own.compact_revision,
                "remote-compact-revision": claim.compact_revision,
                "problem": claim.problem,
            }
            log.warning("cannot compare with a member", extra={"fields": fields})
        odd = [member_id for member_id, view in views.items() if view != views[self._own]]
        checked = {"revision": revision, "number-of-peers-checked": len(views) - 1}
        if not odd:
            log.info("initial corruption checking passed; no corruption", extra={"fields": checked})
            return
        text = ", ".join(f"{member_id:x}" for member_id in odd)
        if 2 * (len(views) - len(odd)) <= len(self._machine.members):
            raise CorruptionFound(f"{self._own:x} found data inconsistency with peers: {text}")
        log.error("other members differ from the majority", extra={"fields": {**checked, "members": text}})

    async def run(self, interval: float) -> None:
        """Compares all members each `interval` seconds while this one leads, until cancelled."""
        while True:
            await asyncio.sleep(interval)
            if self._leads():
                await self.check()

    async def run_for_compactions(self, interval: float) -> None:
        """Compares once, behind each compaction, what it has left; looks for one each `interval` seconds."""
        while True:
            await asyncio.sleep(interval)
            if self._leads():
                await self.check_compaction()

    async def check(self) -> Sequence[int]:
        """Compares all members at the current revision and raises the alarms; answers whose data is corrupt."""
        views: Views = {}
        for _ in range(ATTEMPTS):
            views = await self._compare(self._machine.revision)
            if None not in views.values():
                break
        checked = sum(view is not None for view in views.values())
        log.info("finished peer corruption check", extra={"fields": {"number-of-members-checked": checked}})
        return await self._accuse(differing(views, len(self._machine.members), self._own))

    async def check_compaction(self) -> Sequence[int]:
        """Compares all members at the compact revision, once; answers whose data is corrupt, 0 for one of them."""
        revision = self._machine.compact_revision
        if revision <= self._compared_compaction:
            return ()
        views = await self._compare(revision)
        checked = sum(view is not None for view in views.values())
        if checked == len(self._machine.members):
            self._compared_compaction = revision
        fields = {"compact-revision": revision, "number-of-members-checked": checked}
        log.info("finished compaction hash check", extra={"fields": fields})
        return await self._accuse(differing(views, len(self._machine.members), ANYBODY))

    async def _compare(self, revision: int) -> Views:
        """What each member that answers says of its keys up to `revision`; nothing where no quorum is there."""
        own = await self._claim(revision)
        claims = {self._own: own, **await self._ask_all(revision, is_current=True)}
        try:
            await self._replica.reads.barrier()  # nobody who has answered is further then
        except EtcdError as error:
            log.warning("cannot compare the members", extra={"fields": {"error": error.text}})
            return {}
        return {member_id: self._view(claim, own) for member_id, claim in claims.items()}

    def _view(self, claim: Claim, own: Claim) -> View | None:
        """A member that is current can be neither behind the revision nor beyond what this one has come to."""
        if claim.problem in (DatabaseUnsound.__name__, FutureRev.__name__):
            return claim.problem
        if claim.revision > self._machine.revision or claim.compact_revision > self._machine.compact_revision:
            return "ahead"
        if claim.problem or claim.compact_revision > own.compact_revision:  # a compaction has come between
            return None
        return claim.compact_revision, claim.hash

    async def _claim(self, revision: int) -> Claim:
        """What this member says."""
        try:
            found = await self._hashing.at(revision)
        except DatabaseUnsound as error:
            log.error("the database is damaged", extra={"fields": {"error": f"{error}"}})  # noqa: TRY400 - the text is all
            return self._none(type(error).__name__, f"{error}")
        except EtcdError as error:
            return self._none(type(error).__name__, error.text)
        return Claim(self._machine.revision, found.compact_revision, found.hash)

    def _none(self, problem: str, text: str) -> Claim:
        return Claim(self._machine.revision, self._machine.compact_revision, 0, problem, text)

    async def _ask_all(self, revision: int, *, is_current: bool) -> Claims:
        question = _ENCODER.encode(_Question(revision, is_current))
        others = [member.ID for member in self._machine.members if self._own != member.ID]
        claims = await asyncio.gather(*(self._ask(member_id, question) for member_id in others))
        return {member_id: claim for member_id, claim in zip(others, claims, strict=True) if claim is not None}

    async def _ask(self, member_id: int, question: bytes) -> Claim | None:
        try:
            async with asyncio.timeout(self._timeout):
                claim = _CLAIMS.decode(await self._transport.call(member_id, question, HASH_PATH))
        except (TimeoutError, PeerUnreachable, Refused, msgspec.MsgspecError) as error:
            problem = f"{error!r}"
        else:
            if claim.problem in _TELLING:
                return claim
            problem = f"{claim.problem}: {claim.text}"
        fields = {"remote-member-id": f"{member_id:x}", "error": problem}
        log.warning("failed to get the hash of a member", extra={"fields": fields})
        return None

    async def _accuse(self, differing: Sequence[int]) -> Sequence[int]:
        """Raises the alarms that are not raised yet."""
        for member_id in differing:
            fields = {"member-id": f"{member_id:x}"}
            log.error("found data that differs from that of the other members", extra={"fields": fields})
            if AlarmMember(member_id, AlarmType.CORRUPT) in self._machine.alarms:
                continue
            try:
                await self._proposals.propose(AlarmRequest(AlarmAction.ACTIVATE, member_id, AlarmType.CORRUPT))
            except EtcdError as error:
                fields["error"] = error.text
                log.error("failed to raise the CORRUPT alarm", extra={"fields": fields})  # noqa: TRY400 - the text is all
        return differing

    def _leads(self) -> bool:
        return self._replica.node.leader == self._own


def differing(views: Views, members: int, right: int) -> Sequence[int]:
    """The members, by id, whose view is not that of the majority of so many members, or that cannot be read.

    Without a majority: those that differ from the member `right`; where that is 0, 0 if any two differ.
    """
    unsound = [member_id for member_id, view in views.items() if view == DatabaseUnsound.__name__]
    sound = {member_id: view for member_id, view in views.items() if view is not None and member_id not in unsound}
    counts = Counter(sound.values())
    agreed = next((view for view, count in counts.items() if 2 * count > members), sound.get(right))
    if agreed is not None:
        unsound += [member_id for member_id, view in sound.items() if view != agreed]
    elif right == ANYBODY and len(counts) > 1:
        unsound.append(ANYBODY)
    return sorted(unsound)
