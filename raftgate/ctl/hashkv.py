"""The verb `endpoint hashkv`: the hash of every member's keys, equal on members that hold the same."""

from raftgate.api.maintenance import HashKVRequest, HashKVResponse
from raftgate.ctl.invocation import Invocation
from raftgate.ctl.quoting import quote, to_bytes
from raftgate.ctl.report import Report
from raftgate.ctl.report import run as report


def run(invocation: Invocation) -> None:
    """Prints the hash of every endpoint at --rev, in their order.

    Raises: CommandError when one gave none.
    """
    failure = report(REPORT, HashKVRequest(revision=invocation.flags.integer("rev")), invocation)
    if failure is not None:
        raise failure


def _cells(endpoint: str, answer: HashKVResponse) -> tuple[str, ...]:
    return endpoint, str(answer.hash), str(answer.hash_revision)


def _fields(endpoint: str, answer: HashKVResponse) -> tuple[str, ...]:
    return (
        f'"Endpoint" : {quote(to_bytes(endpoint))}',
        f'"Hash" : {answer.hash}',
        f'"HashRevision" : {answer.hash_revision}',
    )


REPORT: Report[HashKVResponse] = Report(
    subject="hash",
    name="HashKV",
    titles=("endpoint", "hash", "hash revision"),
    header=lambda answer: answer.header,
    cells=_cells,
    fields=_fields,
)
