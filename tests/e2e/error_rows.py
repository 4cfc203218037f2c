"""The error catalogue of the contract: http.md section 5. An error's name is its class in raftgate/api/errors.py."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """One error as a client sees it; `later` and `elsewhere` as in `rows.py`."""

    name: str
    code: int
    status: int
    message: str
    later: str = ""
    elsewhere: str = ""


# fmt: off
ERRORS = (
    ErrorRow("EmptyKey", 3, 400, "etcdserver: key is not provided"),
    ErrorRow("KeyNotFound", 3, 400, "etcdserver: key not found"),
    ErrorRow("ValueProvided", 3, 400, "etcdserver: value is provided"),
    ErrorRow("LeaseProvided", 3, 400, "etcdserver: lease is provided"),
    ErrorRow("TooManyOps", 3, 400, "etcdserver: too many operations in txn request"),
    ErrorRow("DuplicateKey", 3, 400, "etcdserver: duplicate key given in txn request"),
    ErrorRow("InvalidSortOption", 3, 400, "etcdserver: invalid sort option"),
    ErrorRow("InvalidClientAPIVersion", 3, 400, "etcdserver: invalid client api version",
             elsewhere="gateway/test_errors.py::test_catalogue_error_as_http"),
    ErrorRow("Compacted", 11, 400, "etcdserver: mvcc: required revision has been compacted"),
    ErrorRow("FutureRev", 11, 400, "etcdserver: mvcc: required revision is a future revision"),
    ErrorRow("NoSpace", 8, 429, "etcdserver: mvcc: database space exceeded"),
    ErrorRow("LeaseNotFound", 5, 404, "etcdserver: requested lease not found"),
    ErrorRow("LeaseExist", 9, 400, "etcdserver: lease already exists"),
    ErrorRow("LeaseTTLTooLarge", 11, 400, "etcdserver: too large lease TTL"),
    ErrorRow("WatchCanceled", 1, 499, "etcdserver: watch canceled",
             elsewhere="gateway/test_errors.py::test_catalogue_error_as_http"),
    ErrorRow("MemberExist", 9, 400, "etcdserver: member ID already exist",
             elsewhere="storage/test_members.py::test_refused_changes"),
    ErrorRow("PeerURLExist", 9, 400, "etcdserver: Peer URLs already exists"),
    ErrorRow("MemberNotEnoughStarted", 2, 500, "etcdserver: re-configuration failed due to not enough started members"),
    ErrorRow("MemberBadURLs", 3, 400, "etcdserver: given member URLs are invalid"),
    ErrorRow("MemberNotFound", 5, 404, "etcdserver: member not found"),
    ErrorRow("MemberNotLearner", 9, 400, "etcdserver: can only promote a learner member"),
    ErrorRow("LearnerNotReady", 9, 400, "etcdserver: can only promote a learner member which is in sync with leader"),
    ErrorRow("TooManyLearners", 9, 400, "etcdserver: too many learner members in cluster"),
    ErrorRow("ClusterIDMismatch", 9, 400, "etcdserver: cluster ID mismatch", "members"),
    ErrorRow("RequestTooLarge", 3, 400, "etcdserver: request is too large"),
    ErrorRow("TooManyRequests", 2, 500, "etcdserver: too many requests",
             elsewhere="consensus/test_proposals.py::test_a_backlog_of_entries_refuses_proposals"),
    ErrorRow("RootUserNotExist", 9, 400, "etcdserver: root user does not exist", "auth"),
    ErrorRow("RootRoleNotExist", 9, 400, "etcdserver: root user does not have root role", "auth"),
    ErrorRow("UserAlreadyExist", 9, 400, "etcdserver: user name already exists", "auth"),
    ErrorRow("UserEmpty", 3, 400, "etcdserver: user name is empty", "auth"),
    ErrorRow("UserNotFound", 9, 400, "etcdserver: user name not found", "auth"),
    ErrorRow("RoleAlreadyExist", 9, 400, "etcdserver: role name already exists", "auth"),
    ErrorRow("RoleNotFound", 9, 400, "etcdserver: role name not found", "auth"),
    ErrorRow("RoleEmpty", 3, 400, "etcdserver: role name is empty", "auth"),
    ErrorRow("AuthFailed", 3, 400, "etcdserver: authentication failed, invalid user ID or password", "auth"),
    ErrorRow("PermissionNotGiven", 3, 400, "etcdserver: permission not given", "auth"),
    ErrorRow("PermissionDenied", 7, 403, "etcdserver: permission denied", "auth"),
    ErrorRow("RoleNotGranted", 9, 400, "etcdserver: role is not granted to the user", "auth"),
    ErrorRow("PermissionNotGranted", 9, 400, "etcdserver: permission is not granted to the role", "auth"),
    ErrorRow("AuthNotEnabled", 9, 400, "etcdserver: authentication is not enabled", "auth"),
    ErrorRow("InvalidAuthToken", 16, 401, "etcdserver: invalid auth token", "auth"),
    ErrorRow("InvalidAuthMgmt", 3, 400, "etcdserver: invalid auth management", "auth"),
    ErrorRow("AuthOldRevision", 3, 400, "etcdserver: revision of auth store is old", "auth"),
    ErrorRow("NoPasswordUser", 2, 500, "auth: authentication failed, password was given for no password user", "auth"),
    ErrorRow("NoLeader", 14, 503, "etcdserver: no leader",
             elsewhere="gateway/test_errors.py::test_no_leader_is_unavailable"),
    ErrorRow("NotLeader", 9, 400, "etcdserver: not leader",
             elsewhere="consensus/test_maintenance.py::test_leadership_moves_around_three_members"),
    ErrorRow("LeaderChanged", 14, 503, "etcdserver: leader changed",
             elsewhere="consensus/test_reads.py::test_a_change_of_leader_fails_what_is_not_confirmed"),
    ErrorRow("NotCapable", 9, 400, "etcdserver: not capable", "members"),
    ErrorRow("Stopped", 14, 503, "etcdserver: server stopped",
             elsewhere="consensus/test_server.py::test_a_stopped_server_refuses"),
    ErrorRow("Timeout", 14, 503, "etcdserver: request timed out",
             elsewhere="consensus/test_server.py::test_a_write_that_does_not_become_durable_times_out_with_its_outcome_open"),
    ErrorRow("TimeoutDueToLeaderFail", 14, 503,
             "etcdserver: request timed out, possibly due to previous leader failure",
             elsewhere="consensus/test_proposals.py::test_a_timeout_says_what_may_have_caused_it"),
    ErrorRow("TimeoutDueToConnectionLost", 14, 503, "etcdserver: request timed out, possibly due to connection lost",
             elsewhere="consensus/test_proposals.py::test_a_timeout_says_what_may_have_caused_it"),
    ErrorRow("TimeoutWaitAppliedIndex", 14, 503,
             "etcdserver: request timed out, waiting for the applied index took too long",
             "members"),
    ErrorRow("TimeoutLeaderTransfer", 2, 500, "etcdserver: request timed out, leader transfer took too long",
             elsewhere="consensus/test_maintenance.py::test_a_transfer_that_takes_too_long"),
    ErrorRow("Unhealthy", 14, 503, "etcdserver: unhealthy cluster"),
    ErrorRow("Corrupt", 15, 500, "etcdserver: corrupt cluster"),
    ErrorRow("NotSupportedForLearner", 9, 400, "etcdserver: rpc not supported for learner"),
    ErrorRow("BadLeaderTransferee", 9, 400, "etcdserver: bad leader transferee"),
    ErrorRow("WrongDowngradeVersionFormat", 3, 400, "etcdserver: wrong downgrade target version format"),
    ErrorRow("InvalidDowngradeTargetVersion", 3, 400, "etcdserver: invalid downgrade target version"),
    ErrorRow("ClusterVersionUnavailable", 9, 400, "etcdserver: cluster version not found during downgrade",
             elsewhere="consensus/test_cluster_version.py::test_as_long_as_there_is_no_version_nothing_can_be_said"),
    ErrorRow("DowngradeInProcess", 9, 400, "etcdserver: cluster has a downgrade job in progress",
             elsewhere="gateway/test_errors.py::test_catalogue_error_as_http"),
    ErrorRow("NoInflightDowngrade", 9, 400, "etcdserver: no inflight downgrade job",
             elsewhere="gateway/test_errors.py::test_catalogue_error_as_http"),
    ErrorRow("UnknownMethod", 2, 500, "etcdserver: unknown method"),
    ErrorRow("DeadlineExceeded", 4, 504, "context deadline exceeded"),
    ErrorRow("Canceled", 1, 499, "context canceled",
             elsewhere="gateway/test_unary.py::test_cancelling_is_counted_so_that_started_minus_handled_stays_true"),
)
# fmt: on
