"""The initial cluster: which members it names, and whether this member fits (etcd server/config, VerifyBootstrap)."""

import ipaddress
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress

from raftgate.config.errors import Refusal, fatal
from raftgate.config.syntax import quote
from raftgate.config.urls import Url, parse_url

Resolve = Callable[[str], str]
"""A host name -> its address; raises OSError for an unknown name."""


class Unresolved(Refusal):
    """Raised where two lists of URLs differ, but might be the same once a name has an address."""


def default_host() -> str | None:
    """The address of the interface with the default route, if there is one; nothing is sent."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))  # RFC 5737: an address that is nobody's
            return str(probe.getsockname()[0])
    except OSError:
        return None


def parse_members(text: str) -> Mapping[str, tuple[Url, ...]]:
    """The members of `name=url,name=url`: name -> URLs, sorted; a name may occur more than once.

    Raises: Refusal.
    """
    members: dict[str, list[Url]] = {}
    for pair in filter(None, text.split(",")):
        name, _, url = pair.partition("=")
        try:
            members.setdefault(name, []).append(parse_url(url))
        except ValueError as error:
            raise fatal(f"error setting up initial cluster: {error}") from None
    return {name: tuple(sorted(urls, key=str)) for name, urls in members.items()}


def check_members(
    members: Mapping[str, tuple[Url, ...]], name: str, advertised: tuple[Url, ...], resolve: Resolve
) -> None:
    """Refuses a cluster without this member, with other URLs for it, or with a URL of several members.

    Only what differs is resolved: names of other members may get their addresses later.
    Raises: Refusal, Unresolved if a name has no address.
    """
    _check_name(members, name)
    try:
        difference = compare(advertised, members[name], resolve)
    except OSError as error:
        raise Unresolved(fatal(_mismatch(members[name], name, advertised, str(error))).note) from None
    if difference:
        raise fatal(_mismatch(members[name], name, advertised, difference))
    _check_duplicates(members)


def check_joining(members: Mapping[str, tuple[Url, ...]], name: str) -> None:
    """Refuses what one who joins must not give; its URLs are compared with those that the cluster has.

    As etcd config/config.go, VerifyJoinExisting. Raises: Refusal.
    """
    _check_name(members, name)
    _check_duplicates(members)


def _check_name(members: Mapping[str, tuple[Url, ...]], name: str) -> None:
    if name not in members:
        raise fatal(f"couldn't find local name {quote(name)} in the initial cluster configuration")


def _check_duplicates(members: Mapping[str, tuple[Url, ...]]) -> None:
    every = [url for urls in members.values() for url in urls]
    if len(set(every)) < len(every):
        raise fatal(f"initial cluster {_joined(members)} has duplicate url")


def _joined(members: Mapping[str, tuple[Url, ...]]) -> str:
    return ",".join(sorted(f"{name}={url}" for name, urls in members.items() for url in urls))


def compare(advertised: tuple[Url, ...], listed: tuple[Url, ...], resolve: Resolve) -> str:
    """Why the two lists, both sorted, do not name the same addresses; empty if they do.

    Raises: OSError.
    """
    if len(advertised) != len(listed):
        return f"len({_quoted(advertised)}) != len({_quoted(listed)})"
    if advertised == listed:
        return ""
    ours, theirs = (sorted(str(resolved(url, resolve)) for url in urls) for urls in (advertised, listed))
    return next((f"resolved urls: {quote(a)} != {quote(b)}" for a, b in zip(ours, theirs, strict=True) if a != b), "")


def resolved(url: Url, resolve: Resolve) -> Url:
    """The URL with an address for its host.

    Raises: OSError.
    """
    with suppress(ValueError):
        return Url(url.scheme, str(ipaddress.ip_address(url.host)), url.port)
    try:
        return Url(url.scheme, resolve(url.host), url.port)
    except OSError as error:
        raise OSError(f"failed to resolve {quote(str(url))} ({error})") from None


def _quoted(urls: tuple[Url, ...]) -> str:
    return f"[{' '.join(quote(str(url)) for url in urls)}]"


def _mismatch(listed: tuple[Url, ...], name: str, advertised: tuple[Url, ...], difference: str) -> str:
    ours = ",".join(map(str, advertised))
    missing = ",".join(f"{name}={url}" for url in dict.fromkeys(listed) if url not in advertised)
    if missing:
        return f"--initial-cluster has {missing} but missing from --initial-advertise-peer-urls={ours} ({difference})"
    pairs = ",".join(f"{name}={url}" for url in advertised)
    extra = ",".join(str(url) for url in advertised if url not in listed)
    if extra:
        return f"--initial-advertise-peer-urls has {extra} but missing from --initial-cluster={pairs}"
    return f"failed to resolve {ours} to match --initial-cluster={pairs} ({difference})"
