import pytest

from raftgate.api.kv import ResponseHeader
from raftgate.api.maintenance import DowngradeInfo, StatusRequest, StatusResponse
from raftgate.ctl.report import render
from raftgate.ctl.status import REPORT
from tests.fakes.terminal import NOTHING_LISTENS, FakeServer, Terminal, each_by_host

PATH = "/v3/maintenance/status"
HEADER = ResponseHeader(cluster_id=2**64 - 1, member_id=2**63, revision=226, raft_term=3)
STATUS = StatusResponse(
    header=HEADER,
    version="3.6.13",
    dbSize=24576,
    leader=2**63,
    raftIndex=307,
    raftTerm=3,
    raftAppliedIndex=306,
    errors=("memberID:5 alarm:NOSPACE ", "alarm:CORRUPT "),
    dbSizeInUse=12288,
    isLearner=True,
    storageVersion="3.6.0",
    dbSizeQuota=2147483648,
    downgradeInfo=DowngradeInfo(enabled=True, targetVersion="3.5.0"),
)
OF_35 = StatusResponse(header=HEADER, version="3.5.16", dbSize=20480, leader=1, dbSizeInUse=20480)


def test_one_line_an_endpoint() -> None:
    server = FakeServer({PATH: STATUS})
    outcome = Terminal(server).run("endpoint", "status", "ignored")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == (
        "127.0.0.1:2379, 8000000000000000, 3.6.13, 3.6.0, 25 kB, 12 kB, 50%, 2.1 GB, true, true, 3, 307, 306, "
        "memberID:5 alarm:NOSPACE , alarm:CORRUPT , 3.5.0, true\n"
    )
    assert server.sent(StatusRequest) == [StatusRequest()]


def test_a_server_that_does_not_know_the_newer_columns() -> None:
    assert render(REPORT, [("a:1", OF_35)], "simple") == (
        "a:1, 8000000000000000, 3.5.16, , 20 kB, 20 kB, 0%, 0 B, false, false, 0, 0, 0, , , false\n"
    )


def test_a_member_without_database_is_no_division_by_zero() -> None:
    assert render(REPORT, [("a:1", StatusResponse())], "simple") == (
        "a:1, 0, , , 0 B, 0 B, 0%, 0 B, true, false, 0, 0, 0, , , false\n"
    )


def test_json_has_the_names_of_the_protocol() -> None:
    assert render(REPORT, [("a:1", STATUS)], "json") == (
        '[{"Endpoint":"a:1","Status":{"header":{"cluster_id":18446744073709551615,"member_id":9223372036854775808,'
        '"revision":226,"raft_term":3},"version":"3.6.13","dbSize":24576,"leader":9223372036854775808,'
        '"raftIndex":307,"raftTerm":3,"raftAppliedIndex":306,"errors":["memberID:5 alarm:NOSPACE ","alarm:CORRUPT "],'
        '"dbSizeInUse":12288,"isLearner":true,"storageVersion":"3.6.0","dbSizeQuota":2147483648,'
        '"downgradeInfo":{"enabled":true,"targetVersion":"3.5.0"}}}]\n'
    )


def test_fields() -> None:
    assert render(REPORT, [("a:1", STATUS)], "fields", is_hex=True) == (
        '"ClusterID" : ffffffffffffffff\n"MemberID" : 8000000000000000\n"Revision" : 226\n"RaftTerm" : 3\n'
        '"Version" : "3.6.13"\n"StorageVersion" : "3.6.0"\n"DBSize" : 24576\n"DBSizeInUse" : 12288\n'
        '"DBSizeQuota" : 2147483648\n"Leader" : 9223372036854775808\n"IsLearner" : true\n"RaftIndex" : 307\n'
        '"RaftTerm" : 3\n"RaftAppliedIndex" : 306\n"Errors" : [memberID:5 alarm:NOSPACE  alarm:CORRUPT ]\n'
        '"Endpoint" : "a:1"\n"DowngradeTargetVersion" : "3.5.0"\n"DowngradeEnabled" : true\n\n'
    )
    assert '"Errors" : []\n' in render(REPORT, [("a:1", StatusResponse())], "fields")


def test_table() -> None:
    titles = render(REPORT, [("a:1", STATUS)], "table").splitlines()[1]
    assert [title.strip() for title in titles.strip("|").split("|")] == [
        "ENDPOINT", "ID", "VERSION", "STORAGE VERSION", "DB SIZE", "IN USE", "PERCENTAGE NOT IN USE", "QUOTA",
        "IS LEADER", "IS LEARNER", "RAFT TERM", "RAFT INDEX", "RAFT APPLIED INDEX", "ERRORS",
        "DOWNGRADE TARGET VERSION", "DOWNGRADE ENABLED",
    ]  # fmt: skip


@pytest.mark.parametrize("output", ["simple", "json", "fields", "table"])
def test_an_endpoint_that_fails_is_told_once(output: str) -> None:
    server = each_by_host({"a": {PATH: NOTHING_LISTENS}, "b": {PATH: OF_35}})
    outcome = Terminal(server).run("endpoint", "status", "--endpoints=a:1,b:1", "-w", output)
    assert outcome.code == 1
    assert outcome.err == "Failed to get the status of endpoint a:1 (context deadline exceeded)\n"
    assert outcome.out == render(REPORT, [("b:1", OF_35)], output)
