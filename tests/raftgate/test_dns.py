"""SRV records from a server of the test, and answers that are none."""

import struct
from pathlib import Path

import pytest

from raftgate.dns import (
    LookupFailed,
    Server,
    Srv,
    configured_servers,
    decode_answer,
    encode_query,
    lookup_srv,
    parse_server,
)
from tests.fakes.dns import DnsServer

pytestmark = pytest.mark.anyio

NAME = "_etcd-server._tcp.kv.example"
RECORDS = {NAME: [(1, 5, 2381, "n2.kv.example."), (0, 0, 2380, "n9.kv.example"), (0, 0, 2380, "n1.kv.example")]}
FOUND = [Srv(0, 0, 2380, "n1.kv.example"), Srv(0, 0, 2380, "n9.kv.example"), Srv(1, 5, 2381, "n2.kv.example")]


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param}


async def ask(server: DnsServer, name: str = NAME, patience: float = 10.0) -> list[Srv]:
    return await lookup_srv(name, [Server("127.0.0.1", server.port)], patience)


async def test_records_by_priority_and_name() -> None:
    with DnsServer(RECORDS) as server:
        assert await ask(server) == FOUND
        assert await ask(server, f"{NAME}.") == FOUND
        assert server.asked == [f"udp {NAME}"] * 2


async def test_an_answer_that_is_cut_short_is_asked_for_over_tcp() -> None:
    with DnsServer(RECORDS) as server:
        server.is_cut = True
        assert await ask(server) == FOUND
        assert server.asked == [f"udp {NAME}", f"tcp {NAME}"]


async def test_a_service_that_is_declared_absent() -> None:
    with DnsServer({NAME: [(0, 0, 0, ".")]}) as server, pytest.raises(LookupFailed, match="no such host"):
        await ask(server)


async def test_no_such_name_is_asked_for_once() -> None:
    with DnsServer({}) as server:
        with pytest.raises(LookupFailed, match=rf"^lookup {NAME} on {server.address}: no such host$"):
            await ask(server)
        assert len(server.asked) == 1


async def test_a_server_in_trouble_is_asked_again_and_then_the_next() -> None:
    with DnsServer(RECORDS) as broken, DnsServer(RECORDS) as sound:
        broken.code = 2
        with pytest.raises(LookupFailed, match=f"on {broken.address}: server misbehaving"):
            await ask(broken)
        assert len(broken.asked) == 2
        servers = [Server("127.0.0.1", broken.port), Server("127.0.0.1", sound.port)]
        assert await lookup_srv(NAME, servers) == FOUND


async def test_a_silent_server() -> None:
    with DnsServer(RECORDS) as server:
        server.is_silent = True
        with pytest.raises(LookupFailed, match=f"on {server.address}: i/o timeout"):
            await ask(server, patience=0.05)


async def test_a_server_that_is_not_there() -> None:
    with DnsServer({}) as server:
        gone = Server("127.0.0.1", server.port)
    with pytest.raises(LookupFailed, match=f"on {gone}: "):
        await lookup_srv(NAME, [gone], 5.0)
    with pytest.raises(LookupFailed, match="no servers"):
        await lookup_srv(NAME, [])


@pytest.mark.parametrize("name", ["", "a..b", "a" * 64, ".".join(["a" * 60] * 5), "kä.example"])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(LookupFailed, match="no such host"):
        encode_query(1, name)


QUERY = encode_query(7, "a.b")
HEAD = struct.pack(">HHHHHH", 7, 0x8180, 1, 1, 0, 0)
RECORD = struct.pack(">HHIH", 33, 1, 60, 9)
SRV = struct.pack(">HHH", 1, 2, 3)


def test_names_may_lead_back() -> None:
    data = HEAD + QUERY[12:] + b"\xc0\x0c" + RECORD[:-2] + struct.pack(">H", 8) + SRV + b"\xc0\x0e"
    assert decode_answer(data, QUERY) == (0, [Srv(1, 2, 3, "b")], False)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        HEAD,
        QUERY,  # a question, no answer
        struct.pack(">H", 8) + HEAD[2:] + QUERY[12:],
        HEAD + encode_query(7, "a.c")[12:],
        HEAD + QUERY[12:] + b"\xc0\x0c" + RECORD + SRV + b"\x01",
        HEAD + QUERY[12:] + b"\xc0\x0c" + RECORD + SRV + b"\xc0\xff",
        HEAD + QUERY[12:] + b"\xc0\x0c" + RECORD + SRV + b"\xc0\x27",
        HEAD + QUERY[12:] + b"\xc0\x0c" + RECORD + SRV + b"\x80ab",
        HEAD + QUERY[12:] + b"\xc0\x0c" + RECORD + SRV + b"\x01\xff\x00",
    ],
    ids=["empty", "head only", "a question", "number", "other name", "cut", "leads on", "itself", "label", "not text"],
)
def test_an_answer_that_is_none(data: bytes) -> None:
    with pytest.raises(Exception, match=r"another question|unmarshal"):
        decode_answer(data, QUERY)


def test_other_records_are_passed_over() -> None:
    other = struct.pack(">HHIH", 5, 1, 60, 2) + b"\xc0\x0c"
    data = HEAD[:6] + struct.pack(">HHH", 2, 0, 0) + QUERY[12:] + b"\xc0\x0c" + other
    data += b"\xc0\x0c" + RECORD + SRV + b"\x01z\x00"
    assert decode_answer(data, QUERY) == (0, [Srv(1, 2, 3, "z")], False)


@pytest.mark.parametrize(
    ("text", "server", "shown"),
    [
        ("10.0.0.1", Server("10.0.0.1", 53), "10.0.0.1:53"),
        ("10.0.0.1:5353", Server("10.0.0.1", 5353), "10.0.0.1:5353"),
        ("dns.example", Server("dns.example", 53), "dns.example:53"),
        ("::1", Server("::1", 53), "[::1]:53"),
        ("[::1]", Server("::1", 53), "[::1]:53"),
        ("[::1]:5353", Server("::1", 5353), "[::1]:5353"),
    ],
)
def test_servers_are_parsed(text: str, server: Server, shown: str) -> None:
    assert parse_server(text) == server
    assert str(server) == shown


def test_a_port_that_is_none() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        parse_server("10.0.0.1:dns")


def test_the_systems_servers(tmp_path: Path) -> None:
    file = tmp_path / "resolv.conf"
    assert configured_servers(file) == [Server("127.0.0.1")]
    file.write_text("# by hand\nsearch example\nnameserver\nnameserver 10.0.0.1\nnameserver ::1\n")
    assert configured_servers(file) == [Server("10.0.0.1"), Server("::1")]
    file.write_text("".join(f"nameserver 10.0.0.{number}\n" for number in range(5)))
    assert len(configured_servers(file)) == 3
