"""The catalogue: every error once, as a class with its gRPC code and etcd's exact text (etcd rpctypes/error.go).

Errors are raised as they are anywhere and travel unchanged; only the gateway turns them into HTTP. Clients map
errors by their text, so a text is part of the API.
"""

from enum import IntEnum
from typing import ClassVar


class Code(IntEnum):
    """A gRPC status code."""

    OK = 0
    CANCELED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class EtcdError(Exception):
    """The base of everything that a client may be told; `text` is sent as it stands."""

    code: ClassVar[Code] = Code.UNKNOWN
    default_text: ClassVar[str] = ""

    def __init_subclass__(cls, code: Code = Code.UNKNOWN, text: str = "") -> None:
        """Takes code and text of the class from its class line."""
        cls.code = code
        cls.default_text = text

    def __init__(self, text: str = "") -> None:
        """Uses the catalogue's text unless `text` is given."""
        self.text = text or self.default_text
        super().__init__(self.text)


class EmptyKey(EtcdError, code=Code.INVALID_ARGUMENT, text="etcdserver: key is not provided"): ...


class KeyNotFound(EtcdError, code=Code.INVALID_ARGUMENT, text="etcdserver: key not found"): ...


class ValueProvided(EtcdError, code=Code.INVALID_ARGUMENT, text="etcdserver: value is provided"): ...


class LeaseProvided(EtcdError, code=Code.INVALID_ARGUMENT, text="etcdserver: lease is provided"): ...


class TooManyOps(EtcdError, code=Code.INVALID_ARGUMENT, text="etcdserver: too many operations in txn request"): ...


class DuplicateKey(EtcdError, code=Code.INVALID_ARGUMENT, text="etcdserver: duplicate key given in txn request"): ...


class InvalidSortOption(EtcdError, code=Code.INVALID_ARGUMENT, text="etcdserver: invalid sort option"): ...


class InvalidClientAPIVersion(EtcdError, code=Code.INVALID_ARGUMENT, text="etcdserver: invalid client api version"): ...


class Compacted(EtcdError, code=Code.OUT_OF_RANGE, text="etcdserver: mvcc: required revision has been compacted"): ...


class FutureRev(EtcdError, code=Code.OUT_OF_RANGE, text="etcdserver: mvcc: required revision is a future revision"): ...


class NoSpace(EtcdError, code=Code.RESOURCE_EXHAUSTED, text="etcdserver: mvcc: database space exceeded"): ...


class LeaseNotFound(EtcdError, code=Code.NOT_FOUND, text="etcdserver: requested lease not found"): ...


class LeaseExist(EtcdError, code=Code.FAILED_PRECONDITION, text="etcdserver: lease already exists"): ...


class LeaseTTLTooLarge(EtcdError, code=Code.OUT_OF_RANGE, text="etcdserver: too large lease TTL"): ...


class WatchCanceled(EtcdError, code=Code.CANCELED, text="etcdserver: watch canceled"): ...


class MemberExist(EtcdError, code=Code.FAILED_PRECONDITION, text="etcdserver: member ID already exist"): ...


class PeerURLExist(EtcdError, code=Code.FAILED_PRECONDITION, text="etcdserver: Peer URLs already exists"): ...


class MemberNotEnoughStarted(
    EtcdError, code=Code.UNKNOWN, text="etcdserver: re-configuration failed due to not enough started members"
): ...


class MemberBadURLs(EtcdError, code=Code.INVALID_ARGUMENT, text="etcdserver: given member URLs are invalid"): ...


class MemberNotFound(EtcdError, code=Code.NOT_FOUND, text="etcdserver: member not found"): ...


class MemberNotLearner(
    EtcdError, code=Code.FAILED_PRECONDITION, text="etcdserver: can only promote a learner member"
): ...


class LearnerNotReady(
    EtcdError,
    code=Code.FAILED_PRECONDITION,
    text="etcdserver: can only promote a learner member which is in sync with leader",
): ...


class TooManyLearners(
    EtcdError, code=Code.FAILED_PRECONDITION, text="etcdserver: too many learner members in cluster"
): ...


class ClusterIDMismatch(EtcdError, code=Code.FAILED_PRECONDITION, text="etcdserver: cluster ID mismatch"): ...


class RequestTooLarge(EtcdError, code=Code.INVALID_ARGUMENT, text="etcdserver: request is too large"): ...


class TooManyRequests(EtcdError, code=Code.UNKNOWN, text="etcdserver: too many requests"): ...


class RootUserNotExist(EtcdError, code=Code.FAILED_PRECONDITION, text="etcdserver: root user does not exist"): ...


class RootRoleNotExist(
    EtcdError, code=Code.FAILED_PRECONDITION, text="etcdserver: root user does not have root role"
): ...


class UserAlreadyExist(EtcdError, code=Code.FAILED_PRECONDITION, text="etcdserver: user name already exists"): ...


class UserEmpty(EtcdError, code=Code.INVALID_ARGUMENT, text="etcdserver: user name is empty"): ...


class UserNotFound(EtcdError, code=Code.FAILED_PRECONDITION, text="etcdserver: user name not found"): ...


class RoleAlreadyExist(EtcdError, code=Code.FAILED_PRECONDITION, text="etcdserver: role name already exists"): ...


class RoleNotFound(EtcdError, code=Code.FAILED_PRECONDITION, text="etcdserver: role name not found"): ...


class RoleEmpty(EtcdError, code=Code.INVALID_ARGUMENT, text="etcdserver: role name is empty"): ...


class AuthFailed(
    EtcdError, code=Code.INVALID_ARGUMENT, text="etcdserver: authentication failed, invalid user ID or password"
): ...


class PermissionNotGiven(EtcdError, code=Code.INVALID_ARGUMENT, text="etcdserver: permission not given"): ...


class PermissionDenied(EtcdError, code=Code.PERMISSION_DENIED, text="etcdserver: permission denied"): ...


class RoleNotGranted(EtcdError, code=Code.FAILED_PRECONDITION, text="etcdserver: role is not granted to the user"): ...


class PermissionNotGranted(
    EtcdError, code=Code.FAILED_PRECONDITION, text="etcdserver: permission is not granted to the role"
): ...


class AuthNotEnabled(EtcdError, code=Code.FAILED_PRECONDITION, text="etcdserver: authentication is not enabled"): ...


class InvalidAuthToken(EtcdError, code=Code.UNAUTHENTICATED, text="etcdserver: invalid auth token"): ...


class InvalidAuthMgmt(EtcdError, code=Code.INVALID_ARGUMENT, text="etcdserver: invalid auth management"): ...


class AuthOldRevision(EtcdError, code=Code.INVALID_ARGUMENT, text="etcdserver: revision of auth store is old"): ...


class NoPasswordUser(
    EtcdError, code=Code.UNKNOWN, text="auth: authentication failed, password was given for no password user"
): ...


class NoLeader(EtcdError, code=Code.UNAVAILABLE, text="etcdserver: no leader"): ...


class NotLeader(EtcdError, code=Code.FAILED_PRECONDITION, text="etcdserver: not leader"): ...


class LeaderChanged(EtcdError, code=Code.UNAVAILABLE, text="etcdserver: leader changed"): ...


class NotCapable(EtcdError, code=Code.FAILED_PRECONDITION, text="etcdserver: not capable"): ...


class Stopped(EtcdError, code=Code.UNAVAILABLE, text="etcdserver: server stopped"): ...


class Timeout(EtcdError, code=Code.UNAVAILABLE, text="etcdserver: request timed out"): ...


class TimeoutDueToLeaderFail(
    EtcdError, code=Code.UNAVAILABLE, text="etcdserver: request timed out, possibly due to previous leader failure"
): ...


class TimeoutDueToConnectionLost(
    EtcdError, code=Code.UNAVAILABLE, text="etcdserver: request timed out, possibly due to connection lost"
): ...


class TimeoutWaitAppliedIndex(
    EtcdError, code=Code.UNAVAILABLE, text="etcdserver: request timed out, waiting for the applied index took too long"
): ...


class TimeoutLeaderTransfer(
    EtcdError, code=Code.UNKNOWN, text="etcdserver: request timed out, leader transfer took too long"
): ...


class Unhealthy(EtcdError, code=Code.UNAVAILABLE, text="etcdserver: unhealthy cluster"): ...


class Corrupt(EtcdError, code=Code.DATA_LOSS, text="etcdserver: corrupt cluster"): ...


class NotSupportedForLearner(
    EtcdError, code=Code.FAILED_PRECONDITION, text="etcdserver: rpc not supported for learner"
): ...


class BadLeaderTransferee(EtcdError, code=Code.FAILED_PRECONDITION, text="etcdserver: bad leader transferee"): ...


class WrongDowngradeVersionFormat(
    EtcdError, code=Code.INVALID_ARGUMENT, text="etcdserver: wrong downgrade target version format"
): ...


class InvalidDowngradeTargetVersion(
    EtcdError, code=Code.INVALID_ARGUMENT, text="etcdserver: invalid downgrade target version"
): ...


class ClusterVersionUnavailable(
    EtcdError, code=Code.FAILED_PRECONDITION, text="etcdserver: cluster version not found during downgrade"
): ...


class DowngradeInProcess(
    EtcdError, code=Code.FAILED_PRECONDITION, text="etcdserver: cluster has a downgrade job in progress"
): ...


class NoInflightDowngrade(EtcdError, code=Code.FAILED_PRECONDITION, text="etcdserver: no inflight downgrade job"): ...


class UnknownMethod(EtcdError, code=Code.UNKNOWN, text="etcdserver: unknown method"): ...


# The services Lock and Election (etcd client/v3/concurrency, server/etcdserver/api/v3election):
class LockSessionExpired(EtcdError, code=Code.UNKNOWN, text="mutex: session is expired"): ...


class ElectionNotLeader(EtcdError, code=Code.UNKNOWN, text="election: not leader"): ...


class ElectionNoLeader(EtcdError, code=Code.UNKNOWN, text="election: no leader"): ...


class ElectionSessionExpired(EtcdError, code=Code.UNKNOWN, text="election: session is expired"): ...


class LeaderMissing(EtcdError, code=Code.UNKNOWN, text='"leader" field must be provided'): ...


# Texts that depend on the request, or that are not etcd's own:
class DeadlineExceeded(EtcdError, code=Code.DEADLINE_EXCEEDED, text="context deadline exceeded"): ...


class Canceled(EtcdError, code=Code.CANCELED, text="context canceled"): ...


class InvalidArgument(EtcdError, code=Code.INVALID_ARGUMENT, text="invalid argument"): ...


class MessageTooLarge(EtcdError, code=Code.RESOURCE_EXHAUSTED, text="grpc: received message larger than max"): ...


class NotFound(EtcdError, code=Code.NOT_FOUND, text="Not Found"): ...


class MethodNotAllowed(EtcdError, code=Code.UNIMPLEMENTED, text="Method Not Allowed"): ...


class Unimplemented(EtcdError, code=Code.UNIMPLEMENTED, text="not implemented"): ...


class Internal(EtcdError, code=Code.INTERNAL, text="internal error"): ...
