"""Who founds a cluster by the SRV records of the test."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from raftgate.config import Config, Refusal, Url, load
from raftgate.discovery import discover
from raftgate.dns import LookupFailed, Srv
from tests.fakes.dns import DnsServer

pytestmark = pytest.mark.anyio

PLAIN = "_etcd-server._tcp.kv.example"
SECURE = "_etcd-server-ssl._tcp.kv.example"
ADDRESSES = {"n1.kv.example": "10.0.0.1", "n2.kv.example": "10.0.0.2", "n3.kv.example": "10.0.0.3"}


def resolve(host: str) -> str:
    if host in ADDRESSES:
        return ADDRESSES[host]
    raise OSError(f"lookup {host}: no such host")


def config(directory: Path, *flags: str, advertised: str = "http://10.0.0.1:2380") -> Config:
    return load(
        [
            "--name=n1",
            f"--data-dir={directory}",
            f"--initial-advertise-peer-urls={advertised}",
            "--discovery-srv=kv.example",
            *flags,
        ],
        {},
    )


class Records:
    """Records by name."""

    def __init__(self, records: Mapping[str, Sequence[str]]) -> None:
        self._records = records

    async def lookup(self, name: str) -> list[Srv]:
        if name not in self._records:
            raise LookupFailed(f"lookup {name}: no such host")
        return [Srv(0, 0, 2380, target) for target in self._records[name]]


async def found(settings: Config, records: Mapping[str, Sequence[str]]) -> dict[str, str]:
    members = await discover(settings, resolve, Records(records).lookup)
    return {name: ",".join(map(str, urls)) for name, urls in members.items()}


async def test_the_local_member_gets_its_name_and_others_get_numbers(tmp_path: Path) -> None:
    assert await found(config(tmp_path), {PLAIN: list(ADDRESSES)}) == {
        "n1": "http://n1.kv.example:2380",
        "0": "http://n2.kv.example:2380",
        "1": "http://n3.kv.example:2380",
    }


async def test_a_number_that_is_the_members_own_name_is_left_out(tmp_path: Path) -> None:
    assert list(await found(config(tmp_path, "--name=0"), {PLAIN: list(ADDRESSES)})) == ["0", "1", "2"]


async def test_a_service_of_ones_own(tmp_path: Path) -> None:
    records = {"_etcd-server-blue._tcp.kv.example": ["n1.kv.example"], PLAIN: list(ADDRESSES)}
    assert list(await found(config(tmp_path, "--discovery-srv-name=blue"), records)) == ["n1"]


async def test_the_scheme_is_that_of_the_service(tmp_path: Path) -> None:
    secure = config(tmp_path, advertised="https://n1.kv.example:2380")
    assert await found(secure, {SECURE: ["n1.kv.example"], PLAIN: ["n2.kv.example"]}) == {
        "n1": "https://n1.kv.example:2380",
        "0": "http://n2.kv.example:2380",
    }


async def test_another_scheme_than_the_members(tmp_path: Path) -> None:
    with pytest.raises(Refusal) as refused:
        await found(config(tmp_path), {SECURE: ["n1.kv.example"]})
    assert str(refused.value) == (
        "error setting up initial cluster: error querying DNS SRV records for _etcd-server-ssl bootstrap at "
        "https://n1.kv.example:2380 from DNS for etcd-server-ssl has scheme mismatch with expected peer "
        f"http://10.0.0.1:2380; error querying DNS SRV records for _etcd-server lookup {PLAIN}: no such host"
    )


async def test_targets_without_an_address_are_left_out(tmp_path: Path) -> None:
    assert list(await found(config(tmp_path), {PLAIN: ["gone.example", "n1.kv.example"]})) == ["n1"]
    with pytest.raises(Refusal, match="failed to resolve"):
        await found(config(tmp_path), {PLAIN: ["gone.example"]})


async def test_own_urls_without_an_address(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"n9\.kv\.example"):
        await found(config(tmp_path, advertised="http://n9.kv.example:1"), {PLAIN: ["n1.kv.example"]})


async def test_a_member_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(Refusal) as refused:
        await found(config(tmp_path), {PLAIN: ["n2.kv.example"]})
    assert str(refused.value) == ('error setting up initial cluster: cannot find local etcd member "n1" in SRV records')


async def test_one_who_may_join_need_not_be_there(tmp_path: Path) -> None:
    joining = config(tmp_path, "--raftgate-auto-join=learner")
    assert await found(joining, {PLAIN: ["n2.kv.example"]}) == {"0": "http://n2.kv.example:2380"}


async def test_the_server_of_the_flag_is_asked(tmp_path: Path) -> None:
    with DnsServer({PLAIN: [(0, 0, 2380, "10.0.0.1")]}) as server:
        members = await discover(config(tmp_path, f"--raftgate-dns-server={server.address}"))
        assert members == {"n1": (Url("http", "10.0.0.1", 2380),)}
        assert server.asked == [f"udp {SECURE}", f"udp {PLAIN}"]


async def test_a_server_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"--raftgate-dns-server 10\.0\.0\.1:x"):
        await discover(config(tmp_path, "--raftgate-dns-server=10.0.0.1:x"))
