"""Who founds a cluster by DNS SRV records (etcd client/pkg/srv/srv.go, embed/config.go GetDNSClusterNames)."""

import itertools
import logging
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

from raftgate import dns
from raftgate.config import Config, Resolve, Url, fatal, parse_members, resolved

log = logging.getLogger(__name__)

SERVICES = (("https", "etcd-server-ssl"), ("http", "etcd-server"))

Lookup = Callable[[str], Awaitable[Sequence[dns.Srv]]]
"""The SRV records of a name; raises dns.LookupFailed."""


async def discover(
    config: Config, resolve: Resolve = socket.gethostbyname, lookup: Lookup | None = None
) -> Mapping[str, tuple[Url, ...]]:
    """The members that the records name: name -> URLs. The local one gets its name, the others running numbers.

    `resolve` and `lookup` ask the network.
    Raises: Refusal.
    """
    found: list[str] = []
    failures: list[str] = []
    lookup = lookup or _lookup_by(config)
    numbers = (number for number in itertools.count() if str(number) != config.name)
    suffix = f"-{config.discovery_srv_name}" if config.discovery_srv_name else ""
    for scheme, prefix in SERVICES:
        service = prefix + suffix
        try:
            named = await _members(config, (scheme, service), resolve, lookup, numbers)
        except (OSError, dns.LookupFailed, _Mismatch) as error:
            failures.append(f"error querying DNS SRV records for _{service} {error}")
            named = []
        fields = {"service-scheme": scheme, "service-name": service, "server-name": config.name, "found-cluster": named}
        log.info("get cluster for %s SRV", prefix, extra={"fields": fields})
        found += named
    if not found and failures:
        raise fatal(f"error setting up initial cluster: {'; '.join(failures)}")
    members = parse_members(",".join(found))
    if config.name not in members and config.raftgate_auto_join == "off":
        problem = f'cannot find local etcd member "{config.name}" in SRV records'
        raise fatal(f"error setting up initial cluster: {problem}")
    return members


class _Mismatch(Exception):
    """A record contradicts this member's flags."""


def _lookup_by(config: Config) -> Lookup:
    """Raises: Refusal."""
    given = config.raftgate_dns_server
    try:
        servers = [dns.parse_server(given)] if given else dns.configured_servers()
    except ValueError as error:
        raise fatal(f"--raftgate-dns-server {given}: {error}") from None
    return lambda name: dns.lookup_srv(name, servers)


async def _members(
    config: Config, kind: tuple[str, str], resolve: Resolve, lookup: Lookup, numbers: Iterator[int]
) -> list[str]:
    """`name=URL` of each record; what cannot be used is left out as long as there are others.

    Raises: OSError, dns.LookupFailed, _Mismatch.
    """
    scheme, service = kind
    own = {_address(url, resolve): url for url in config.initial_advertise_peer_urls}
    parts: list[str] = []
    failure: Exception | None = None
    for record in await lookup(f"_{service}._tcp.{config.discovery_srv}"):
        url = Url(scheme, record.target, record.port)
        try:
            expected = own.get(_address(url, resolve))
        except OSError as error:
            failure = error
            continue
        if expected is not None and expected.scheme != scheme:
            failure = _Mismatch(
                f"bootstrap at {url} from DNS for {service} has scheme mismatch with expected peer {expected}"
            )
            continue
        name = config.name if expected is not None else str(next(numbers))
        parts.append(f"{name}={url}")
    if failure is not None and not parts:
        raise failure
    return parts


def _address(url: Url, resolve: Resolve) -> tuple[str, int]:
    """Raises: OSError."""
    return resolved(url, resolve).host, url.port
