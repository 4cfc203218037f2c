"""Who founds a cluster, by flags, and what speaks against it."""

import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from consensus.cluster import cluster_id, member_id
from consensus.peer import build_peer_app
from consensus.wal_format import Identity
from raftgate.api.cluster import Member
from raftgate.bootstrap import begin, check_advertised, check_may_found
from raftgate.config import Config, Refusal, load
from raftgate.joining import BootstrapRefused, Start, founders, identity
from tests.fakes.dns import DnsServer
from tests.fakes.loopback import listening

pytestmark = pytest.mark.anyio

OWN = "http://10.0.0.1:2380"
OTHERS: Mapping[str, str] = {"n2": "http://10.0.0.2:2380", "n3": "http://10.0.0.3:2380"}
OWN_ID = member_id([OWN], "tok")


def config(
    directory: Path, others: Mapping[str, str] = OTHERS, *flags: str, own: str = OWN, advertised: str = OWN
) -> Config:
    listed = ",".join(f"{name}={url}" for name, url in {"n1": own, **others}.items())
    argv = [f"--data-dir={directory}", "--name=n1", f"--initial-advertise-peer-urls={advertised}"]
    return load([*argv, f"--initial-cluster={listed}", "--initial-cluster-token=tok", *flags], {}, resolve=unknown)


def unknown(host: str) -> str:
    raise OSError(f"{host}: no such host")


class Names:
    """Names that get their addresses after some questions."""

    def __init__(self, *answers: str) -> None:
        self._answers = list(answers)
        self.asked = 0

    def resolve(self, host: str) -> str:
        self.asked += 1
        answer = self._answers.pop(0)
        return answer or unknown(host)


async def test_a_name_that_has_no_address_yet_is_asked_for_again(tmp_path: Path) -> None:
    late = config(tmp_path, own="http://n1.late:2380")
    names = Names("", "10.0.0.1")
    await check_advertised(late, names.resolve)
    assert names.asked == 2


async def test_a_name_that_gets_no_address_is_refused_in_the_end(tmp_path: Path) -> None:
    late = config(tmp_path, own="http://n1.late:2380")
    with pytest.raises(Refusal, match=r'\(failed to resolve "http://n1.late:2380" \(n1.late: no such host\)\)'):
        await check_advertised(late, unknown, patience=0)


async def test_a_name_that_gets_another_address_is_refused(tmp_path: Path) -> None:
    late = config(tmp_path, own="http://n1.late:2380")
    with pytest.raises(Refusal, match="resolved urls"):
        await check_advertised(late, Names("10.0.0.9").resolve)


async def test_a_founder_begins_as_the_flags_say(tmp_path: Path) -> None:
    settings = config(tmp_path, {})
    assert await begin(settings) == Start(identity(settings), founders(settings))


async def test_one_who_was_added_begins_as_the_cluster_says(tmp_path: Path) -> None:
    members = [Member(ID=9, peerURLs=(OWN,))]
    async with listening(build_peer_app(0xC1, lambda: members, dict)) as (_, port):
        url = f"http://127.0.0.1:{port}"
        members.append(Member(ID=11, name="n2", peerURLs=(url,)))
        start = await begin(config(tmp_path, {"n2": url}, "--initial-cluster-state=existing"))
    assert start == Start(Identity(0xC1, 9), tuple(members), joins=True)


async def test_one_who_may_join_asks_first(tmp_path: Path) -> None:
    members = [Member(ID=9, peerURLs=(OWN,), isLearner=True)]
    async with listening(build_peer_app(0xC1, lambda: members, dict)) as (_, port):
        url = f"http://127.0.0.1:{port}"
        members.append(Member(ID=11, name="n2", peerURLs=(url,)))
        start = await begin(config(tmp_path, {"n2": url}, "--raftgate-auto-join=learner"))
        assert start == Start(Identity(0xC1, 9), tuple(members), joins=True)
    settings = config(tmp_path, {}, "--raftgate-auto-join=learner")
    assert await begin(settings) == Start(identity(settings), founders(settings))


async def test_srv_records_say_who_founds(tmp_path: Path) -> None:
    records = {"_etcd-server._tcp.kv.example": [(0, 0, 2380, "10.0.0.1"), (0, 0, 1, "127.0.0.1")]}
    with DnsServer(records) as server:
        flags = ["--discovery-srv=kv.example", f"--raftgate-dns-server={server.address}"]
        argv = ["--name=n1", f"--data-dir={tmp_path}", f"--initial-advertise-peer-urls={OWN}", *flags]
        start = await begin(load(argv, {}))
    ids = [member_id([url], "etcd-cluster") for url in (OWN, "http://127.0.0.1:1")]
    assert start.identity == Identity(cluster_id(ids), ids[0])
    assert [member.ID for member in start.members] == ids


async def test_a_lone_founder_asks_nobody(tmp_path: Path) -> None:
    await check_may_found(config(tmp_path, {}))


@pytest.mark.parametrize(
    ("members", "is_refused"),
    [
        ([Member(ID=OWN_ID, peerURLs=(OWN,))], False),
        ([Member(ID=5, peerURLs=(OWN,), clientURLs=("http://a:1",))], False),
        ([Member(ID=OWN_ID, peerURLs=(OWN,), clientURLs=("http://a:1",))], True),
    ],
    ids=["not started yet", "another", "has served before"],
)
async def test_a_member_that_has_served_before_founds_nothing(
    tmp_path: Path, members: Sequence[Member], *, is_refused: bool
) -> None:
    app = build_peer_app(0xC1, lambda: members, dict)
    with socket.create_server(("127.0.0.1", 0)) as gone:
        nobody = f"http://127.0.0.1:{gone.getsockname()[1]}"
    async with listening(app) as (_, port), listening(build_peer_app(0xC1, list, dict)) as (_, empty):
        others = {
            "n2": nobody,
            "n3": f"http://127.0.0.1:{empty}",
            "n4": f"http://127.0.0.1:{port}",
            "n5": "http://n5.invalid:1",
        }
        settings = config(tmp_path, others)
        if is_refused:
            with pytest.raises(BootstrapRefused, match=f"member {OWN_ID:x} has already been bootstrapped"):
                await check_may_found(settings)
        else:
            await check_may_found(settings)
