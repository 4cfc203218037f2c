import ipaddress

import pytest

from raftgate.config.cluster import Unresolved, check_joining, check_members, default_host, parse_members
from raftgate.config.errors import Refusal
from raftgate.config.urls import Url, parse_urls

HOSTS = {"localhost": "127.0.0.1", "n1.example": "10.0.0.1"}


def resolve(host: str) -> str:
    if host in HOSTS:
        return HOSTS[host]
    raise OSError(host)


def check(cluster: str, name: str, advertised: str) -> None:
    check_members(parse_members(cluster), name, parse_urls(advertised), resolve)


def test_members_are_parsed() -> None:
    assert parse_members("a=http://b:1,a=http://a:1,,b=http://c:1") == {
        "a": (Url("http", "a", 1), Url("http", "b", 1)),
        "b": (Url("http", "c", 1),),
    }
    assert parse_members("") == {}


def test_a_member_that_fits() -> None:
    check("n1=http://a:1", "n1", "http://a:1")
    check("n1=http://localhost:1", "n1", "http://127.0.0.1:1")
    check("n1=http://a:1,n1=http://b:1", "n1", "http://b:1,http://a:1")


def test_one_who_joins_need_not_be_at_its_urls() -> None:
    check_joining(parse_members("n1=http://a:1,n2=http://b:1"), "n1")
    for cluster, text in (("n2=http://a:1", "couldn't find local name"), ("n1=http://a:1,n2=http://a:1", "duplicate")):
        with pytest.raises(Refusal, match=text):
            check_joining(parse_members(cluster), "n1")


def test_names_of_others_need_no_address_yet() -> None:
    check("n1=http://n1.late:1,n2=http://n2.late:1", "n1", "http://n1.late:1")


def test_what_differs_may_be_the_same_once_a_name_has_an_address() -> None:
    with pytest.raises(Unresolved) as caught:
        check("n1=http://n1.late:1", "n1", "http://10.0.0.1:1")
    assert str(caught.value) == (
        "--initial-cluster has n1=http://n1.late:1 but missing from --initial-advertise-peer-urls=http://10.0.0.1:1 "
        '(failed to resolve "http://n1.late:1" (n1.late))'
    )


def test_addresses_are_not_resolved() -> None:
    check("n1=http://[::1]:1", "n1", "http://[0:0::1]:1")


@pytest.mark.parametrize(
    ("cluster", "advertised", "reason"),
    [
        ("n2=http://a:1", "http://a:1", 'couldn\'t find local name "n1" in the initial cluster configuration'),
        (
            "n1=http://n1.example:1",
            "http://10.0.0.2:1",
            (
                "--initial-cluster has n1=http://n1.example:1 but missing from --initial-advertise-peer-urls="
                'http://10.0.0.2:1 (resolved urls: "http://10.0.0.2:1" != "http://10.0.0.1:1")'
            ),
        ),
        (
            "n1=http://a:1",
            "http://a:1,http://b:1",
            "--initial-advertise-peer-urls has http://b:1 but missing from --initial-cluster=n1=http://a:1,n1=http://b:1",
        ),
        (
            "n1=http://a:1,n1=http://a:1",
            "http://a:1",
            (
                'failed to resolve http://a:1 to match --initial-cluster=n1=http://a:1 (len(["http://a:1"]) != '
                'len(["http://a:1" "http://a:1"]))'
            ),
        ),
        ("n1=http://a:1,n2=http://a:1", "http://a:1", "initial cluster n1=http://a:1,n2=http://a:1 has duplicate url"),
        (
            "n2=http://b:1,n1=http://a:1,n3=http://b:1",
            "http://a:1",
            "initial cluster n1=http://a:1,n2=http://b:1,n3=http://b:1 has duplicate url",
        ),
    ],
)
def test_members_that_do_not_fit(cluster: str, advertised: str, reason: str) -> None:
    with pytest.raises(Refusal) as caught:
        check(cluster, "n1", advertised)
    assert str(caught.value) == reason


def test_the_default_host_is_an_address_or_nothing() -> None:
    host = default_host()
    assert host is None or str(ipaddress.ip_address(host)) == host
