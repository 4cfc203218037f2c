"""The bound sockets of all listeners: an address in use is told before anything is opened."""

import socket
from collections.abc import Iterable

from raftgate.config import Config, Url


class ListenRefused(Exception):
    """An address cannot be listened on; the text is for the operator."""


class Sockets:
    """What one member listens on."""

    def __init__(self, config: Config) -> None:
        """Raises: ListenRefused."""
        self._config = config
        self.peer = self._bind(config.listen_peer_urls)
        self.client = self._bind(dict.fromkeys((*config.listen_client_urls, *config.listen_client_http_urls)))
        self.metrics = self._bind(config.listen_metrics_urls)

    def _bind(self, urls: Iterable[Url]) -> list[socket.socket]:
        return [self._bind_one(url) for url in urls]

    def _bind_one(self, url: Url) -> socket.socket:
        try:
            infos = socket.getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            family, _, _, _, address = min(infos, key=lambda info: info[0] != socket.AF_INET)  # IPv4 first, as Go
            bound = socket.socket(family, socket.SOCK_STREAM)
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Go does
            if self._config.socket_reuse_port:
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            bound.bind(address)
        except OSError as error:
            text = (error.strerror or str(error)).lower()
            raise ListenRefused(f"listen tcp {url.address}: bind: {text}") from None
        return bound
