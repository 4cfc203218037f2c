"""The catalogue of errors as HTTP: status, and the body that clients of any etcd read."""

import json
import logging
import traceback

from gateway.replies import CLOSE, JSON, Reply, make_reply
from raftgate.api.errors import Code, EtcdError, Internal

_LOG = logging.getLogger(__name__)

# grpc-gateway v2, runtime/errors.go: HTTPStatusFromCode.
HTTP_STATUS = {
    Code.OK: 200,
    Code.CANCELED: 499,
    Code.UNKNOWN: 500,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.ABORTED: 409,
    Code.OUT_OF_RANGE: 400,
    Code.UNIMPLEMENTED: 501,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
    Code.DATA_LOSS: 500,
    Code.UNAUTHENTICATED: 401,
}


def error_body(text: str, code: Code) -> bytes:
    """The object that both generations of etcd's JSON gateway are read by: the older looks at `error`."""
    fields = {"error": text, "code": int(code), "message": text}
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


def error_reply(error: EtcdError, received: int = 0) -> Reply:
    """An error of the catalogue as an answer."""
    return make_reply(HTTP_STATUS[error.code], JSON, error_body(error.text, error.code), received)


def closing_reply(status: int, error: EtcdError) -> Reply:
    """A refusal after which the rest of the request is not read."""
    return make_reply(status, JSON + CLOSE, error_body(error.text, error.code))


def unexpected_reply(error: Exception, where: str) -> Reply:
    """Logs an error that is a fault of this program, and answers without its details.

    The log shows where it came from, not what it says: its text may hold a key or a value.
    """
    frames = "".join(traceback.format_tb(error.__traceback__))
    _LOG.error("%s failed with %s\n%s", where, type(error).__name__, frames)
    return error_reply(Internal())
