"""The last resort when the quorum is lost: one member goes on alone with its data (etcd's --force-new-cluster).

As etcd server/storage/util.go, CreateConfigChangeEnts: the others are removed by entries that are appended here and
taken for committed. Unlike etcd, which drops what it does not know to be committed, everything in the log is kept: the
commit index is saved lazily, so an acknowledged write may be among it. The entries are of a term of their own, in which
this member has voted for itself, so that no entry of the others ever has the same term and index.

All of it is one batch of the log: a stop leaves nothing, or everything, and then nothing is left to do.
"""

import logging

from consensus import command, installer
from consensus.raft import confchange
from consensus.raft.errors import LogCorrupt
from consensus.raft.types import ConfChange, ConfChangeType, Entry, EntryType, HardState
from consensus.wal import Wal
from raftgate.api.cluster import Member, MemberAdded, MemberPromoted, MemberRemoved
from raftgate.api.errors import EtcdError
from storage.machine import Machine
from storage.members import Members, Records

log = logging.getLogger(__name__)

READ_BYTES = 4 << 20


def stand_alone(machine: Machine, wal: Wal, own: Member) -> frozenset[int]:
    """Makes `own` the only member, if the log and the store are not empty; blocking, before the core takes up the log.

    Answers the members that are dropped.
    """
    installer.finish_interrupted(machine, wal)
    records = _records(machine, wal)
    known = {member.ID: member for member in records.members}
    if not known or own.ID in records.removed:  # nothing was begun, or Member refuses it
        return frozenset()
    others = [member for member in records.members if member.ID != own.ID]
    fields = {
        "cluster-id": f"{wal.identity.cluster_id:x}",
        "local-member-id": f"{own.ID:x}",
        "removed-member-ids": [f"{member.ID:x}" for member in others],
        "commit-index": wal.initial_state().commit,
    }
    log.warning(
        "forcing a new cluster: this member goes on alone, every other one is removed", extra={"fields": fields}
    )
    changes = [_own_change(own, known.get(own.ID))]
    changes += [_change(ConfChangeType.REMOVE_NODE, member.ID, MemberRemoved(member.ID)) for member in others]
    _append(wal, [change for change in changes if change is not None])
    return frozenset(member.ID for member in others)


def _records(machine: Machine, wal: Wal) -> Records:
    """Who takes part once the whole log is applied."""
    members = Members(Records(machine.members, machine.removed_members))
    low, end = machine.applied_index + 1, wal.last_index() + 1
    if low < wal.first_index():
        raise LogCorrupt(f"the store ends at {machine.applied_index}, the log begins at {wal.first_index()}")
    while low < end:
        for entry in wal.entries(low, end, READ_BYTES):
            if entry.type is EntryType.CONF_CHANGE:
                _apply(members, entry)
            low = entry.index + 1
    return members.records()


def _apply(members: Members, entry: Entry) -> None:
    _, request = command.decode(confchange.decode(entry.data).context)
    try:
        if isinstance(request, MemberAdded):
            members.add(request)
        elif isinstance(request, MemberRemoved):
            members.remove(request)
        elif isinstance(request, MemberPromoted):
            members.promote(request)
    except EtcdError as refused:  # as it will be when it is applied
        log.debug("entry %d changes nothing: %s", entry.index, refused.text)


def _own_change(own: Member, known: Member | None) -> ConfChange | None:
    """What gives this member a vote, before the others lose theirs."""
    if known is None:
        added = Member(ID=own.ID, peerURLs=own.peerURLs)
        return _change(ConfChangeType.ADD_NODE, own.ID, MemberAdded(added))
    if known.isLearner:
        return _change(ConfChangeType.ADD_NODE, own.ID, MemberPromoted(own.ID))
    return None


def _change(kind: ConfChangeType, member_id: int, request: MemberAdded | MemberPromoted | MemberRemoved) -> ConfChange:
    return ConfChange(kind, member_id, command.encode(0, request, 0.0))


def _append(wal: Wal, changes: list[ConfChange]) -> None:
    if not changes:
        return
    term, last = wal.initial_state().term + 1, wal.last_index()
    entries = [
        Entry(term, index, EntryType.CONF_CHANGE, confchange.encode(change))
        for index, change in enumerate(changes, last + 1)
    ]
    wal.save(HardState(term, wal.identity.member_id, entries[-1].index), entries, True)
