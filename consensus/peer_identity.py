"""Who is asking on the peer port: the headers that each request between members carries, and what they must say.

Names and order of the checks are etcd's (rafthttp/http.go, util.go): version, cluster, addressee, membership.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from consensus.peer_codec import FORMAT_VERSION

MESSAGES_PATH = f"/raft/v{FORMAT_VERSION}/messages"
SNAPSHOT_PATH = f"/raft/v{FORMAT_VERSION}/snapshot"
CALL_PATH = f"/raft/v{FORMAT_VERSION}/call"

CLUSTER_ID = "x-etcd-cluster-id"
SERVER_FROM = "x-server-from"
SERVER_VERSION = "x-server-version"
MIN_CLUSTER_VERSION = "x-min-cluster-version"
RAFT_TO = "x-raft-to"
CHANNEL = "x-raftgate-channel"
PEER_URLS = "x-peerurls"


class Refused(Exception):
    """A request between members that must not be taken, with the status and the text that tell why."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


def _never(_member_id: int) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class PeerIdentity:
    """What this member says of itself, and what it knows of others."""

    cluster_id: int
    member_id: int
    server_version: str = "3.6.0"
    min_cluster_version: str = "3.0.0"  # etcd version/version.go
    is_removed: Callable[[int], bool] = _never
    """Whether a member was removed from the cluster."""
    peer_urls: tuple[str, ...] = ()
    """Where this member is asked, for one who does not know it yet (etcd rafthttp/util.go, setPeerURLsHeader)."""

    def request_headers(self, to: int) -> dict[str, str]:
        """What a request to that member carries; `to` 0 where the member behind an address is not known yet."""
        headers = {**self.answer_headers(), SERVER_FROM: f"{self.member_id:x}"}
        if to:
            headers[RAFT_TO] = f"{to:x}"
        if self.peer_urls:
            headers[PEER_URLS] = ",".join(self.peer_urls)
        return headers

    def answer_headers(self) -> dict[str, str]:
        """What each answer carries."""
        return {
            CLUSTER_ID: f"{self.cluster_id:x}",
            SERVER_VERSION: self.server_version,
            MIN_CLUSTER_VERSION: self.min_cluster_version,
        }

    def admit(self, headers: Mapping[str, str]) -> int:
        """The id of the member that sends; headers by lower-case name. A member that is not known yet is let in.

        The one who asks may have been added by an entry that has not come here yet.

        Raises: Refused.
        """
        self._check_version(headers)
        self._check_cluster(headers)
        if headers.get(RAFT_TO, f"{self.member_id:x}") != f"{self.member_id:x}":
            raise Refused(HTTPStatus.PRECONDITION_FAILED, "to field mismatch")
        try:
            sender = int(headers.get(SERVER_FROM, ""), 16)
        except ValueError:
            raise Refused(HTTPStatus.BAD_REQUEST, "the sender's id is missing") from None
        if self.is_removed(sender):
            raise Refused(HTTPStatus.GONE, "the member has been permanently removed from the cluster")
        return sender

    def check_answer(self, status: int, headers: Mapping[str, str]) -> None:
        """Passes when a member of the same cluster has agreed.

        Raises: Refused.
        """
        if status == HTTPStatus.OK:
            self._check_version(headers)
            self._check_cluster(headers)
        else:
            raise Refused(status, f"the peer answered {status}")

    def _check_cluster(self, headers: Mapping[str, str]) -> None:
        if headers.get(CLUSTER_ID) != f"{self.cluster_id:x}":
            raise Refused(HTTPStatus.PRECONDITION_FAILED, "cluster ID mismatch")

    def _check_version(self, headers: Mapping[str, str]) -> None:
        theirs = headers.get(SERVER_VERSION, ""), headers.get(MIN_CLUSTER_VERSION, "")
        if theirs == (self.server_version, self.min_cluster_version):
            return
        try:
            server, least = (_parse(version) for version in theirs)
        except ValueError:
            raise Refused(HTTPStatus.PRECONDITION_FAILED, "incompatible version") from None
        if server < _parse(self.min_cluster_version) or _parse(self.server_version) < least:
            raise Refused(HTTPStatus.PRECONDITION_FAILED, "incompatible version")


def _parse(version: str) -> tuple[int, int, int]:
    """Raises: ValueError."""
    major, minor, patch = version.partition("-")[0].split(".")
    return int(major), int(minor), int(patch)
