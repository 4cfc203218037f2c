import json
import logging

import pytest

from gateway.errors import HTTP_STATUS, closing_reply, error_body, error_reply, unexpected_reply
from raftgate.api.errors import Code, EtcdError, MessageTooLarge, NoLeader

# http.md section 4
STATUS = {0: 200, 1: 499, 2: 500, 3: 400, 4: 504, 5: 404, 6: 409, 7: 403, 8: 429, 9: 400, 10: 409, 11: 400, 12: 501,
          13: 500, 14: 503, 15: 500, 16: 401}  # fmt: skip


def test_every_code_has_its_status() -> None:
    assert {int(code): status for code, status in HTTP_STATUS.items()} == STATUS
    assert set(HTTP_STATUS) == set(Code)


@pytest.mark.parametrize("kind", EtcdError.__subclasses__(), ids=lambda kind: kind.__name__)
def test_catalogue_error_as_http(kind: type[EtcdError]) -> None:
    reply = error_reply(kind())
    text = kind.default_text
    assert reply.status == STATUS[kind.code]
    assert json.loads(reply.body) == {"error": text, "code": int(kind.code), "message": text}
    assert list(json.loads(reply.body)) == ["error", "code", "message"]
    assert (b"content-type", b"application/json") in reply.headers


def test_a_text_is_sent_as_utf8_and_never_fails() -> None:
    assert "ü".encode() in error_body("ü", Code.UNKNOWN)
    assert json.loads(error_body('a "\udc80"', Code.UNKNOWN))["message"] == 'a "?"'


def test_a_refusal_in_mid_request_closes() -> None:
    reply = closing_reply(429, MessageTooLarge())
    assert (b"connection", b"close") in reply.headers
    assert reply.status == 429


def test_an_unexpected_error_is_logged_without_its_text_and_answered_without_details(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.ERROR)
    try:
        raise KeyError("the secret value")
    except KeyError as error:
        reply = unexpected_reply(error, "etcdserverpb.KV/Put")
    assert reply.status == 500
    assert json.loads(reply.body) == {"error": "internal error", "code": 13, "message": "internal error"}
    assert "etcdserverpb.KV/Put failed with KeyError" in caplog.text
    assert __file__ in caplog.text
    assert "the secret value" not in caplog.messages[0].replace('raise KeyError("the secret value")', "")


def test_no_leader_is_unavailable() -> None:
    assert error_reply(NoLeader()).status == 503
