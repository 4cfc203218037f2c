"""Membership changes: what each makes of a configuration, and its bytes in a log entry.

One member at a time (Raft thesis 4.1); a change counts from when the driver applies it, as in etcd. Who may propose
which change when is decided in leader.py.
"""

from typing import Final

from consensus.raft.errors import ConfChangeRefused, ConfChangeUnreadable
from consensus.raft.types import NONE, ConfChange, ConfChangeType, ConfState

FORMAT_VERSION: Final = 1
_HEADER: Final = 10
"""Version 1: a byte for the version, one for the type, eight for the id, big end first; the rest is the context."""


def apply(conf: ConfState, change: ConfChange) -> ConfState:
    """The configuration after a change; a repeated change alters nothing.

    Raises: ConfChangeRefused.
    """
    if change.node_id == NONE:
        raise ConfChangeRefused("a membership change must name a member")
    if change.type is ConfChangeType.UPDATE_NODE:
        return conf
    voters = set(conf.voters) - {change.node_id}
    learners = set(conf.learners) - {change.node_id}
    if change.type is ConfChangeType.ADD_NODE:
        voters.add(change.node_id)
    elif change.type is ConfChangeType.ADD_LEARNER_NODE:
        learners.add(change.node_id)
    if conf.voters and not voters:
        raise ConfChangeRefused(f"the change of {change.node_id:x} would leave no voter")
    return ConfState(tuple(sorted(voters)), tuple(sorted(learners)))


def encode(change: ConfChange) -> bytes:
    """The data of the entry that carries a change."""
    return bytes((FORMAT_VERSION, change.type)) + change.node_id.to_bytes(8, "big") + change.context


def decode(data: bytes) -> ConfChange:
    """The change that an entry carries.

    Raises: ConfChangeUnreadable.
    """
    try:
        version, kind = data[0], ConfChangeType(data[1])
    except (IndexError, ValueError) as error:
        raise ConfChangeUnreadable(f"membership change {data[:_HEADER].hex()}: {error}") from error
    if version != FORMAT_VERSION or len(data) < _HEADER:
        raise ConfChangeUnreadable(
            f"membership change of format version {version}, this version reads {FORMAT_VERSION}"
        )
    return ConfChange(kind, int.from_bytes(data[2:_HEADER], "big"), data[_HEADER:])
