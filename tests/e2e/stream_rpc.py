"""The requests of Watch, Lease, Lock and Election in short form, and what is done to an open stream."""

from collections.abc import Mapping

from tests.e2e.case import Reading, Step
from tests.e2e.rpc import LEASES, REVOKE, post
from tests.e2e.streams import WEBSOCKET

Fields = Mapping[str, object]

WATCH = "/v3/watch"
GRANT = "/v3/lease/grant"
KEEPALIVE = "/v3/lease/keepalive"
TIMETOLIVE = "/v3/lease/timetolive"
LOCK = "/v3/lock/lock"
UNLOCK = "/v3/lock/unlock"
CAMPAIGN = "/v3/election/campaign"
PROCLAIM = "/v3/election/proclaim"
LEADER = "/v3/election/leader"
OBSERVE = "/v3/election/observe"
RESIGN = "/v3/election/resign"

# How long silence lasts until it is believed.
SILENCE = 0.3


def opened(stream: str, path: str, *objects: Fields) -> Step:
    """Open a stream whose request body is complete."""
    return Step("POST", path, objects or None, stream=stream)


def opened_half(stream: str, path: str, *objects: Fields) -> Step:
    """Open a stream whose request body goes on."""
    return Step("POST", path, objects, stream=stream, unfinished=True)


def websocket(stream: str, path: str, *objects: Fields) -> Step:
    """Open a WebSocket and send objects."""
    return Step(WEBSOCKET, path, objects, stream=stream)


def send(stream: str, *objects: Fields) -> Step:
    """Send more objects."""
    return Step("SEND", "", objects, stream=stream)


def end(stream: str) -> Step:
    """End the request's body, or close a WebSocket in good order."""
    return Step("END", "", stream=stream)


def close(stream: str) -> Step:
    """Close the connection."""
    return Step("CLOSE", "", stream=stream)


def lines(stream: str, count: int = 1, within: float = 10.0) -> Step:
    """Read lines."""
    return Step("READ", "", stream=stream, reading=Reading(lines=count, within=within))


def told(stream: str, events: int) -> Step:
    """Read events, in however many lines they come."""
    return Step("READ", "", stream=stream, reading=Reading(events=events))


def silence(stream: str) -> Step:
    """See that no line comes."""
    return Step("READ", "", stream=stream, reading=Reading(lines=1, within=SILENCE))


def answer(stream: str) -> Step:
    """Read the answer to its end."""
    return Step("READ", "", stream=stream, reading=Reading())


def create(key: bytes | None = None, range_end: bytes | None = None, **fields: object) -> Fields:
    """Create a watch."""
    given = {"key": key, "range_end": range_end}
    return {"create_request": {**{name: value for name, value in given.items() if value is not None}, **fields}}


def cancel(watch_id: object) -> Fields:
    """Cancel a watch."""
    return {"cancel_request": {"watch_id": watch_id}}


PROGRESS: Fields = {"progress_request": {}}


def watching(stream: str, key: bytes, range_end: bytes | None = None, **fields: object) -> list[Step]:
    """Open a stream with one watch and read that it was created."""
    return [opened(stream, WATCH, create(key, range_end, **fields)), lines(stream)]


def grant(ttl: object, lease: object = None) -> Step:
    """Grant a lease; without an id the server picks one."""
    return post(GRANT, {"TTL": ttl, **({} if lease is None else {"ID": lease})})


def revoke(lease: object) -> Step:
    """Revoke a lease."""
    return post(REVOKE, {"ID": lease})


def time_to_live(lease: object, **fields: object) -> Step:
    """Ask how long a lease has still to live; etcd tells its keys in any order."""
    return post(TIMETOLIVE, {"ID": lease, **fields}).in_any_order()


def leases() -> Step:
    """List the leases."""
    return post(LEASES)


def keepalive(*leases: object) -> Step:
    """Keep leases alive, each once."""
    return Step("POST", KEEPALIVE, [{"ID": lease} for lease in leases])


def lock(name: bytes, lease: object = None) -> Step:
    """Lock a name."""
    return post(LOCK, {"name": name, **({} if lease is None else {"lease": lease})})


def unlock(key: object) -> Step:
    """Unlock by the key that lock gave."""
    return post(UNLOCK, {"key": key})


def campaign(name: bytes, lease: object, value: bytes, **fields: object) -> Step:
    """Stand for a name."""
    return post(CAMPAIGN, {"name": name, "lease": lease, "value": value, **fields})


def proclaim(leader: Fields | None, value: bytes) -> Step:
    """Give a candidate's key a new value."""
    return post(PROCLAIM, {**({} if leader is None else {"leader": leader}), "value": value})


def leader_of(name: bytes) -> Step:
    """Ask who leads."""
    return post(LEADER, {"name": name})


def observe(stream: str, name: bytes) -> Step:
    """Open a stream that tells who leads."""
    return opened(stream, OBSERVE, {"name": name})


def resign(leader: Fields | None) -> Step:
    """Give leadership up."""
    return post(RESIGN, {} if leader is None else {"leader": leader})
