"""Identity: member and cluster ids by etcd's formulas, and the log that a new cluster begins with."""

import hashlib
from collections.abc import Iterable, Sequence

import msgspec

from consensus import command
from consensus.raft.types import ConfChange, ConfChangeType, ConfState
from raftgate.api.cluster import Member, MemberAdded


def member_id(peer_urls: Iterable[str], token: str) -> int:
    """The id of a bootstrap member (etcd membership/member.go, computeMemberID)."""
    text = "".join(sorted(peer_urls)) + token
    return _first_eight_bytes(text.encode())


def cluster_id(member_ids: Sequence[int]) -> int:
    """The id of a cluster of these bootstrap members (etcd membership/cluster.go, genID)."""
    return _first_eight_bytes(b"".join(number.to_bytes(8, "big") for number in sorted(member_ids)))


def bootstrap_changes(members: Iterable[Member]) -> list[ConfChange]:
    """The changes that a new cluster's log begins with, the same on each of its members.

    Names and client URLs are left out: each member knows its own only, and publishes them.
    """
    bare = [msgspec.structs.replace(member, name="", clientURLs=()) for member in members]
    return [
        ConfChange(
            ConfChangeType.ADD_LEARNER_NODE if member.isLearner else ConfChangeType.ADD_NODE,
            member.ID,
            command.encode(0, MemberAdded(member=member), 0.0),
        )
        for member in sorted(bare, key=lambda member: member.ID)
    ]


def conf_state(members: Iterable[Member]) -> ConfState:
    """Who takes part, by the member records of the store."""
    listed = sorted(members, key=lambda member: member.ID)
    voters = tuple(member.ID for member in listed if not member.isLearner)
    return ConfState(voters, tuple(member.ID for member in listed if member.isLearner))


def _first_eight_bytes(data: bytes) -> int:
    digest = hashlib.sha1(data, usedforsecurity=False).digest()  # etcd's choice: an id, not a secret
    return int.from_bytes(digest[:8], "big")
