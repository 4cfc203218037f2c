"""One HTTP connection to a server under test, close to the bytes: nothing is added to what a step says."""

import http.client
from collections.abc import Mapping
from dataclasses import dataclass

TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back, headers by lower-case name."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Client:
    """Sends one request at a time over a kept-alive connection and opens a new one when the server closed it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)

    def send(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Reply:
        """Send a request and read its whole answer; without a body there is no Content-Length either.

        With `Transfer-Encoding: chunked` among the headers the body goes out in two chunks.
        """
        try:
            return self._exchange(method, path, body, headers)
        except (http.client.HTTPException, OSError):
            self._connection.close()
            raise

    def _exchange(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Reply:
        names = {name.lower() for name in headers}
        self._connection.putrequest(method, path, skip_host="host" in names, skip_accept_encoding=True)
        for name, value in headers.items():
            self._connection.putheader(name, value)
        if body is None:
            self._connection.endheaders()
        elif "transfer-encoding" in names:
            self._connection.endheaders()
            half = len(body) // 2 or 1
            for part in (body[:half], body[half:]):
                if part:
                    self._connection.send(b"%x\r\n%b\r\n" % (len(part), part))
            self._connection.send(b"0\r\n\r\n")
        else:
            self._connection.putheader("Content-Length", str(len(body)))
            self._connection.endheaders(body)
        response = self._connection.getresponse()
        content = response.read()
        return Reply(response.status, {name.lower(): value for name, value in response.getheaders()}, content)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
