"""URLs of listeners and members, read and refused as etcd does (Go net/url, etcd client/pkg/types/urls.go)."""

import re
from dataclasses import dataclass

from raftgate.config.syntax import quote

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_PORT = re.compile(r"(?::[0-9]*)?")
_SCHEMES = ("http", "https", "unix", "unixs")


@dataclass(frozen=True, slots=True, order=True)
class Url:
    """Scheme, host and port; IPv6 hosts stand without brackets. For `unix` the host is the path and the port 0."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        """The URL as etcd writes it: no path, no trailing slash."""
        if self.scheme.startswith("unix"):
            return f"{self.scheme}://{self.host}"
        return f"{self.scheme}://{self.address}"

    @property
    def address(self) -> str:
        """`host:port`, with brackets around an IPv6 host."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def is_secure(self) -> bool:
        """Whether the URL asks for TLS."""
        return self.scheme in {"https", "unixs"}


def parse_urls(text: str) -> tuple[Url, ...]:
    """The URLs of a comma separated list, sorted and each once.

    Raises: ValueError with etcd's text.
    """
    return tuple(sorted({parse_url(part) for part in text.split(",")}, key=str))


def parse_url(text: str) -> Url:
    """One URL of a listener or member.

    Raises: ValueError with etcd's text.
    """
    text = text.strip()
    scheme, rest = _split_scheme(text)
    rest = rest.partition("#")[0].partition("?")[0]
    if not rest.startswith("/") and not scheme and ":" in rest.partition("/")[0]:
        raise _unparsable(text, "first path segment in URL cannot contain colon")
    host, path = "", rest
    if rest.startswith("//"):
        authority, slash, tail = rest[2:].partition("/")
        host, path = authority.rpartition("@")[2], slash + tail
        _check_host(text, host)
    if scheme not in _SCHEMES:
        raise ValueError(f"URL scheme must be http, https, unix, or unixs: {text}")
    if scheme.startswith("unix"):
        return Url(scheme, host + path, 0)
    name, port = _split_host_port(text, host)
    if path:
        raise ValueError(f"URL must not contain a path: {text}")
    return Url(scheme, name, port)


def _split_scheme(text: str) -> tuple[str, str]:
    if not text.isprintable():
        raise _unparsable(text, "net/url: invalid control character in URL")
    if text.startswith(":"):
        raise _unparsable(text, "missing protocol scheme")
    scheme = _SCHEME.match(text)
    if scheme is None or not text.startswith(":", scheme.end()):
        return "", text
    return scheme[0].lower(), text[scheme.end() + 1 :]


def _check_host(text: str, host: str) -> None:
    if host.startswith("["):
        end = host.rfind("]")
        if end < 0:
            raise _unparsable(text, "missing ']' in host")
        port = host[end + 1 :]
    else:
        port = "".join(host.rpartition(":")[1:]) if ":" in host else ""
    if _PORT.fullmatch(port) is None:
        raise _unparsable(text, f"invalid port {quote(port)} after host")


def _split_host_port(text: str, host: str) -> tuple[str, int]:
    name, colon, port = host.rpartition(":")
    if name.startswith("[") and name.endswith("]"):
        name = name[1:-1]
    elif ":" in name or "[" in name or "]" in name:
        colon = ""
    if not colon or "]" in port:
        raise ValueError(f'URL address does not have the form "host:port": {text}')
    return name, int(port or 0)


def _unparsable(text: str, reason: str) -> ValueError:
    return ValueError(f"parse {quote(text)}: {reason}")
