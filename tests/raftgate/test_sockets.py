"""The sockets of a member's listeners."""

import socket
from pathlib import Path

import pytest

from raftgate.config import Config, load
from raftgate.sockets import ListenRefused, Sockets


def config(directory: Path, *flags: str, peer: int = 0) -> Config:
    urls = ["--listen-client-urls=http://127.0.0.1:0,http://[::1]:0", "--advertise-client-urls=http://127.0.0.1:1"]
    return load([f"--data-dir={directory}", *urls, f"--listen-peer-urls=http://127.0.0.1:{peer}", *flags], {})


def close(sockets: Sockets) -> None:
    for sock in (*sockets.peer, *sockets.client, *sockets.metrics):
        sock.close()


def test_each_url_is_bound_once(tmp_path: Path) -> None:
    same = "--listen-client-http-urls=http://127.0.0.1:0"
    sockets = Sockets(config(tmp_path, same, "--listen-metrics-urls=http://localhost:0"))
    assert [sock.family for sock in sockets.client] == [socket.AF_INET, socket.AF_INET6]
    assert [sock.getsockname()[0] for sock in (*sockets.peer, *sockets.metrics)] == ["127.0.0.1", "127.0.0.1"]
    assert all(sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT) == 0 for sock in sockets.client)
    close(sockets)


def test_a_port_may_be_shared(tmp_path: Path) -> None:
    first = Sockets(config(tmp_path, "--socket-reuse-port=true"))
    close(Sockets(config(tmp_path, "--socket-reuse-port=true", peer=first.peer[0].getsockname()[1])))
    close(first)


def test_an_address_in_use_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ListenRefused, match=f"listen tcp 127.0.0.1:{port}: bind: address already in use"):
            Sockets(config(tmp_path, peer=port))
