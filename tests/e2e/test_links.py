import contextlib
import os
import socket
import threading
from collections.abc import Iterator

import pytest

from tests.e2e.links import CUT, FAIR, Links, Weather

DEADLINE = 10.0
NOT_YET = 0.1


@pytest.fixture
def echo() -> Iterator[int]:
    """A listener that sends back whatever it gets."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer(connection: socket.socket) -> None:
        with connection:
            while data := connection.recv(65536):
                connection.sendall(data)

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


@pytest.fixture
def links(echo: int) -> Iterator[Links]:
    """Two members: the first is this process, the second the listener."""
    links = Links([echo, echo], lambda: {os.getpid(): 0})
    yield links
    links.close()


def connect(links: Links) -> socket.socket:
    return socket.create_connection(("127.0.0.1", links.ports[1]), timeout=DEADLINE)


def test_bytes_pass_in_fair_weather(links: Links) -> None:
    with connect(links) as sock:
        sock.sendall(b"there and back")
        assert sock.recv(100) == b"there and back"


@pytest.mark.parametrize("way", [(0, 1), (1, 0)])
def test_a_cut_way_holds_bytes_until_it_is_healed(links: Links, way: tuple[int, int]) -> None:
    with connect(links) as sock:
        sock.sendall(b"1")
        assert sock.recv(100) == b"1"
        links.change(CUT, [way])
        sock.sendall(b"2")
        sock.settimeout(NOT_YET)
        with pytest.raises(TimeoutError):
            sock.recv(100)
        sock.settimeout(DEADLINE)
        links.heal()
        assert sock.recv(100) == b"2"


def test_a_connection_made_over_a_cut_way_waits(links: Links) -> None:
    links.change(CUT, [(1, 0)])
    with connect(links) as sock:
        sock.sendall(b"late")
        sock.settimeout(NOT_YET)
        with pytest.raises(TimeoutError):
            sock.recv(100)
        sock.settimeout(DEADLINE)
        links.change(FAIR, [(1, 0)])
        assert sock.recv(100) == b"late"


def test_a_break_lets_half_of_a_piece_through(links: Links) -> None:
    links.change(Weather(breaks=1.0), [(0, 1)])
    with connect(links) as sock:
        sock.sendall(b"half")
        received = b""
        with contextlib.suppress(ConnectionError):
            while data := sock.recv(100):
                received += data
        assert received in (b"", b"ha")


def test_lost_and_delayed_pieces_arrive(links: Links) -> None:
    links.change(Weather(loss=0.3, delay=0.01), links.all_pairs())
    with connect(links) as sock:
        for number in range(5):
            sock.sendall(b"%d" % number)
            assert sock.recv(100) == b"%d" % number


def test_strangers_are_not_let_through(links: Links) -> None:
    links._pids = dict  # nobody runs
    with connect(links) as sock:
        assert sock.recv(100) == b""
