"""Server-sent events with clients that others have written: httpx-sse, and the EventSource of a browser.

They reconnect by themselves while the member is killed and started again under a thousand writes, transactions of
several keys among them. What they have seen in the end is the history, each event once and in order.
"""

import base64
import http.client
import http.server
import json
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import httpx_sse
import pytest

from tests.e2e import servers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

WRITES = 1000
RESTARTS = 4
DEADLINE = 120.0
QUERY = "key=k/&prefix=true&encoding=utf8"

Seen = list[tuple[int, str, str]]
"""Revision, kind and key of each event."""


def encoded(data: str) -> str:
    return base64.b64encode(data.encode()).decode()


def operations(number: int) -> list[dict[str, Any]]:
    """A put, three puts, or a put and the deletion of what came before."""
    put = {"request_put": {"key": encoded(f"k/{number}"), "value": encoded(str(number))}}
    if number % 3 == 0:
        return [put]
    if number % 3 == 1:
        others = [{"request_put": {"key": encoded(f"k/{number}/{name}")}} for name in "ab"]
        return [put, *others]
    return [put, {"request_delete_range": {"key": encoded(f"k/{number - 1}"), "range_end": encoded(f"k/{number}")}}]


@dataclass
class Store:
    """A member that comes back on its ports each time that it is killed."""

    directory: Path
    ports: list[int] = field(default_factory=lambda: servers.free_ports(2))
    acknowledged: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.server = servers.start(servers.raftgate_command(), self.directory, ports=self.ports)

    def post(self, path: str, message: dict[str, Any]) -> dict[str, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[0], timeout=20)
        try:
            connection.request("POST", path, json.dumps(message))
            answer: dict[str, Any] = json.loads(connection.getresponse().read())
            return answer
        finally:
            connection.close()

    def restart(self) -> None:
        """Starts it anew after a kill -9."""
        self.server.process.signal(signal.SIGKILL)
        self.server.process.wait()
        self.server = servers.start(servers.raftgate_command(), self.directory, ports=self.ports)

    def write(self) -> None:
        """Does all writes, and restarts between and during them; the last event is that of `k/end`."""
        due = {WRITES * number // (RESTARTS + 1) for number in range(1, RESTARTS + 1)}
        for number in range(WRITES):
            if number in due:
                threading.Thread(target=self.server.process.signal, args=(signal.SIGKILL,)).start()
            try:
                answer = self.post("/v3/kv/txn", {"success": operations(number)})
                self.acknowledged.add(int(answer["header"]["revision"]))
            except (OSError, http.client.HTTPException, ValueError):
                self.restart()  # whether it was applied nobody knows
        self.post("/v3/kv/put", {"key": encoded("k/end")})

    def history(self) -> Seen:
        """All events from the first on, by the JSON watch."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[0], timeout=20)
        try:
            create = {"key": encoded("k/"), "range_end": encoded("k0"), "start_revision": "1"}
            connection.request("POST", "/v3/watch", json.dumps({"create_request": create}))
            response = connection.getresponse()
            seen: Seen = []
            while not seen or seen[-1][2] != "k/end":
                for event in json.loads(response.readline())["result"].get("events", []):
                    key = base64.b64decode(event["kv"]["key"]).decode()
                    seen.append((int(event["kv"]["mod_revision"]), event.get("type", "PUT").lower(), key))
            return seen
        finally:
            connection.close()

    def check(self, seen: Seen) -> None:
        """What a client has seen is all that there was."""
        history = self.history()
        assert {revision for revision, _, _ in history} >= self.acknowledged
        assert len(self.acknowledged) > WRITES // 2
        assert seen == history


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path)
    yield store
    store.server.process.kill()


def take(seen: Seen, kind: str, data: str) -> bool:
    """Notes an event; tells whether it is the last one."""
    kv = json.loads(data)["kv"]
    seen.append((int(kv["mod_revision"]), kind, kv["key"]))
    return bool(kv["key"] == "k/end")


@contextmanager
def in_background(function: Callable[[], None]) -> Iterator[threading.Thread]:
    thread = threading.Thread(target=function)
    thread.start()
    yield thread
    thread.join(DEADLINE)
    assert not thread.is_alive()


def follow_with_httpx(port: int, seen: Seen, opened: threading.Event) -> None:
    """Reconnects with the last id as the standard says, after whatever breaks the stream."""
    last_id = ""
    with httpx.Client(timeout=httpx.Timeout(DEADLINE)) as client:
        while True:
            headers = {"Last-Event-ID": last_id} if last_id else {}
            try:
                with httpx_sse.connect_sse(
                    client, "GET", f"http://127.0.0.1:{port}/v3/watch?{QUERY}", headers=headers
                ) as source:
                    opened.set()
                    for event in source.iter_sse():
                        last_id = event.id or last_id
                        if event.event in ("put", "delete") and take(seen, event.event, event.data):
                            return
            except httpx.TransportError:
                opened.wait(0.1)


def test_httpx_sse(store: Store) -> None:
    seen: Seen = []
    opened = threading.Event()
    with in_background(lambda: follow_with_httpx(store.ports[0], seen, opened)):
        assert opened.wait(20)
        store.write()
    store.check(seen)


PAGE = """<!doctype html><title>watch</title><script>
const tell = (what, body) => fetch("/" + what, {method: "POST", body: body});
const source = new EventSource("http://127.0.0.1:%d/v3/watch?%s");
let batch = [];
source.onopen = () => tell("opened", "");
for (const kind of ["put", "delete", "compacted", "canceled"])
  source.addEventListener(kind, (event) => {
    batch.push([kind, event.data]);
    if (event.data.includes("k/end")) { source.close(); tell("seen", JSON.stringify(batch)); }
  });
</script>"""


@dataclass
class Browser:
    """Chromium with a page that follows a watch, and the server of that page, which is told what it saw."""

    port: int
    opened: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    seen: Seen = field(default_factory=list)

    def told(self, what: str, body: bytes) -> None:
        if what == "/opened":
            self.opened.set()
        else:
            for kind, data in json.loads(body):
                take(self.seen, kind, data)
            self.ended.set()


def page_server(browser: Browser) -> http.server.ThreadingHTTPServer:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer((PAGE % (browser.port, QUERY)).encode())

        def do_POST(self) -> None:
            browser.told(self.path, self.rfile.read(int(self.headers["Content-Length"])))
            self.answer(b"")

        def answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base
            pass

    return http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)


@contextmanager
def chromium(browser: Browser, profile: Path) -> Iterator[None]:
    program = servers.find_peer("chromium")
    if program is None:
        pytest.skip("chromium is not installed (variable CHROMIUM, PATH)")
    pages = page_server(browser)
    serving = threading.Thread(target=pages.serve_forever)
    serving.start()
    flags = "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking disable-sync"
    process = subprocess.Popen(
        [
            program,
            *(f"--{flag}" for flag in flags.split()),
            "--disable-component-update",
            f"--user-data-dir={profile}",
            f"http://127.0.0.1:{pages.server_port}/",
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)
        pages.shutdown()
        serving.join()
        pages.server_close()
        shutil.rmtree(profile, ignore_errors=True)


@pytest.mark.peer
def test_the_event_source_of_a_browser(store: Store, tmp_path: Path) -> None:
    browser = Browser(store.ports[0])
    with chromium(browser, tmp_path / "profile"):
        assert browser.opened.wait(60)
        store.write()
        assert browser.ended.wait(DEADLINE)
    store.check(browser.seen)
