import re
from pathlib import Path

from raftgate.api.services import RPCS, RpcKind

FACTS = (Path(__file__).parent / "etcd_fields.txt").read_text()
KINDS = {"unary": RpcKind.UNARY, "server": RpcKind.SERVER_STREAM, "bidi": RpcKind.BIDI_STREAM}


def test_services_methods_and_kinds_are_those_of_etcd() -> None:
    service, expected = "", {}
    for line in FACTS.splitlines():
        if line.startswith("S "):
            service = line.removeprefix("S ")
        elif match := re.match(r"R (\S+) (\S+) \S+ (\w+)", line):
            expected[service, match[1]] = (KINDS[match[3]], match[2].rsplit(".", 1)[-1])
    expected = {key: value for key, value in expected.items() if not key[0].startswith("grpc.")}
    # HashKV and the Auth service's methods carry their service's name in the RPC's own; the table uses the latter
    listed = {(rpc.service, rpc.method): rpc for rpc in RPCS}
    assert listed.keys() == expected.keys()
    for key, rpc in listed.items():
        kind, request = expected[key]
        assert rpc.kind is kind
        assert rpc.request is None or rpc.request.__name__ == request


def test_only_three_lease_paths_have_an_older_name() -> None:
    older = sorted(path for rpc in RPCS for path in rpc.paths if path.startswith("/v3/kv/lease/"))
    assert older == ["/v3/kv/lease/leases", "/v3/kv/lease/revoke", "/v3/kv/lease/timetolive"]
