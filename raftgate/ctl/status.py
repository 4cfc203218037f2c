"""The verb `endpoint status`: every member as it sees itself, with the columns of etcdctl 3.6."""

from raftgate.api.kv import ResponseHeader
from raftgate.api.maintenance import DowngradeInfo, StatusRequest, StatusResponse
from raftgate.ctl.errors import SilentError
from raftgate.ctl.invocation import Invocation
from raftgate.ctl.literals import format_bool, format_size
from raftgate.ctl.quoting import quote, to_bytes
from raftgate.ctl.report import Report
from raftgate.ctl.report import run as report

_TITLES = (
    "endpoint", "ID", "version", "storage version", "db size", "in use", "percentage not in use", "quota",
    "is leader", "is learner", "raft term", "raft index", "raft applied index", "errors",
    "downgrade target version", "downgrade enabled",
)  # fmt: skip


def run(invocation: Invocation) -> None:
    """Prints the status of every endpoint, in their order.

    Raises: CommandError when one gave none.
    """
    if report(REPORT, StatusRequest(), invocation) is not None:
        raise SilentError


def _cells(endpoint: str, status: StatusResponse) -> tuple[str, ...]:
    member_id = (status.header or ResponseHeader()).member_id
    used = status.dbSizeInUse * 100 // status.dbSize if status.dbSize else 100  # etcdctl divides by zero
    downgrade = status.downgradeInfo or DowngradeInfo()
    return (
        endpoint,
        f"{member_id:x}",
        status.version,
        status.storageVersion,
        format_size(status.dbSize),
        format_size(status.dbSizeInUse),
        f"{100 - used}%",
        format_size(status.dbSizeQuota),
        format_bool(status.leader == member_id),
        format_bool(status.isLearner),
        str(status.raftTerm),
        str(status.raftIndex),
        str(status.raftAppliedIndex),
        ", ".join(status.errors),
        downgrade.targetVersion,
        format_bool(downgrade.enabled),
    )


def _fields(endpoint: str, status: StatusResponse) -> tuple[str, ...]:
    downgrade = status.downgradeInfo or DowngradeInfo()
    return (
        f'"Version" : {_quoted(status.version)}',
        f'"StorageVersion" : {_quoted(status.storageVersion)}',
        f'"DBSize" : {status.dbSize}',
        f'"DBSizeInUse" : {status.dbSizeInUse}',
        f'"DBSizeQuota" : {status.dbSizeQuota}',
        f'"Leader" : {status.leader}',  # in decimal even with --hex, as etcdctl prints it
        f'"IsLearner" : {format_bool(status.isLearner)}',
        f'"RaftIndex" : {status.raftIndex}',
        f'"RaftTerm" : {status.raftTerm}',
        f'"RaftAppliedIndex" : {status.raftAppliedIndex}',
        f'"Errors" : [{" ".join(status.errors)}]',
        f'"Endpoint" : {_quoted(endpoint)}',
        f'"DowngradeTargetVersion" : {_quoted(downgrade.targetVersion)}',
        f'"DowngradeEnabled" : {format_bool(downgrade.enabled)}',
    )


def _quoted(text: str) -> str:
    return quote(to_bytes(text))


REPORT: Report[StatusResponse] = Report(
    subject="status",
    name="Status",
    titles=_TITLES,
    header=lambda status: status.header,
    cells=_cells,
    fields=_fields,
)
