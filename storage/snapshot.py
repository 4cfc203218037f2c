"""A whole store on its way to somebody else: a consistent copy, the stream of it, and the checks of who receives it.

    stream = HEAD, the bytes of a SQLite file, SHA-256 of both

The copy is made by SQLite within one read transaction, so that it holds exactly one applied index while the store goes
on; it is a file of its own, so that a slow receiver holds up no checkpoint. It is never synced: who receives it does.
"""

import hashlib
import os
import shutil
import sqlite3
import struct
import zlib
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import sqlalchemy
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from raftgate.api.cluster import Member
from storage import schema
from storage.database import Database, applied_index, raw
from storage.loading import load_members
from storage.schema import DatabaseRefused

PIECE: Final = 256 << 10
"""Bytes of the file in one piece of the stream."""
SPARE: Final = 64 << 20
"""Bytes that a copy must leave free: a full disk would stop the member, for the sake of another."""
_PAGES: Final = 256  # copied in one go

_MAGIC: Final = b"rgstore\n"
_VERSION: Final = 1
_HEAD: Final = struct.Struct("<8sHHIQQQ")  # magic, version, zero, zero, term, index, bytes of the file
_CHECKSUM: Final = struct.Struct("<I")
_DIGEST: Final = hashlib.sha256().digest_size


class CopyRefused(RuntimeError):
    """No copy of the store can be made now."""


class SnapshotInvalid(Exception):
    """What came is not a whole and sound store."""


@dataclass(frozen=True, slots=True)
class Head:
    """What a stream says of the store in it."""

    term: int
    index: int
    """All entries up to it are applied."""
    size: int
    """Bytes of the file."""

    def encode(self) -> bytes:
        """The bytes that open a stream."""
        fields = _HEAD.pack(_MAGIC, _VERSION, 0, 0, self.term, self.index, self.size)
        return fields + _CHECKSUM.pack(zlib.crc32(fields))

    @classmethod
    def decode(cls, data: bytes) -> "Head":
        """Raises: SnapshotInvalid."""
        magic, version, _, _, term, index, size = _HEAD.unpack_from(data)
        if magic != _MAGIC or _CHECKSUM.unpack_from(data, _HEAD.size)[0] != zlib.crc32(data[: _HEAD.size]):
            raise SnapshotInvalid("the stream does not begin like a store")
        if version > _VERSION:
            raise SnapshotInvalid(f"the stream has format version {version}, this program knows up to {_VERSION}")
        return cls(term, index, size)


_HEAD_BYTES: Final = _HEAD.size + _CHECKSUM.size


class Copy:
    """A copy of a store as of one applied index; to be closed. Its file has no name, and is gone with it."""

    def __init__(self, file: BinaryIO, index: int, members: tuple[Member, ...]) -> None:
        self._file = file
        self.index = index
        """The applied index."""
        self.members = members
        """The member records as of it."""
        self.size = os.fstat(file.fileno()).st_size

    @classmethod
    def make(cls, database: Database, path: Path) -> "Copy":
        """Copies what is committed in SQLite to a new file; its name goes again at once.

        Raises: CopyRefused.
        """
        if shutil.disk_usage(path.parent).free < database.path.stat().st_size + SPARE:
            raise CopyRefused("there is too little space for a copy of the store")
        try:
            with database.connect() as source, source.begin():
                index = applied_index(source)  # this pins what is read
                members = tuple(load_members(source))
                with closing(sqlite3.connect(path, isolation_level=None)) as target:
                    target.execute("PRAGMA journal_mode = OFF")
                    target.execute("PRAGMA synchronous = OFF")
                    raw(source).backup(target, pages=_PAGES)
            return cls(path.open("rb"), index, members)
        except (sqlalchemy.exc.DatabaseError, sqlite3.Error) as error:
            raise CopyRefused(f"{error}") from error
        finally:
            for suffix in ("", "-wal", "-shm", "-journal"):
                with suppress(FileNotFoundError):
                    path.with_name(path.name + suffix).unlink()

    def stream(self, term: int) -> Iterator[bytes]:
        """The stream, piece by piece, once; `term`: that of the entry at the applied index. Any thread, one at a time.

        Raises: OSError.
        """
        digest = hashlib.sha256()
        piece = Head(term, self.index, self.size).encode()
        self._file.seek(0)
        while piece:
            digest.update(piece)
            yield piece
            piece = self._file.read(PIECE)
        yield digest.digest()

    def close(self) -> None:
        """Gives the space back."""
        self._file.close()


class Unpacking:
    """The receiving end of a stream, fed with bytes as they come; whoever feeds it writes what it answers."""

    def __init__(self) -> None:
        self.head: Head | None = None
        """What the stream says, as soon as that has come."""
        self._digest = hashlib.sha256()
        self._rest = bytearray()
        self._left = 0  # bytes of the file that are still to come

    def feed(self, data: bytes) -> bytes:
        """Takes the next bytes; answers those of the file among them.

        Raises: SnapshotInvalid.
        """
        if self.head is None:
            self._rest += data
            if len(self._rest) < _HEAD_BYTES:
                return b""
            opening, data = bytes(self._rest[:_HEAD_BYTES]), bytes(self._rest[_HEAD_BYTES:])
            self._rest.clear()
            self.head = Head.decode(opening)
            self._left = self.head.size
            self._digest.update(opening)
        content = data[: self._left]
        self._left -= len(content)
        self._digest.update(content)
        self._rest += data[len(content) :]
        if len(self._rest) > _DIGEST:
            raise SnapshotInvalid("the stream is longer than it says")
        return content

    def finish(self) -> Head:
        """Takes note of the end.

        Raises: SnapshotInvalid.
        """
        if self.head is None or self._left or len(self._rest) < _DIGEST:
            raise SnapshotInvalid("the stream ended too early")
        if bytes(self._rest) != self._digest.digest():
            raise SnapshotInvalid("the checksum of the stream does not match")
        return self.head


def inspect(path: Path, index: int) -> tuple[Member, ...]:
    """Checks that a received file is a store as of an applied index; answers its member records.

    Nothing is made beside the file, and nothing of it is changed.
    Raises: SnapshotInvalid.
    """

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(f"{path.resolve().as_uri()}?immutable=1", uri=True, check_same_thread=False)

    engine = create_engine("sqlite+pysqlite://", creator=connect, poolclass=StaticPool)
    try:
        with engine.connect() as connection:
            schema.check(connection)
            found = applied_index(connection)
            members = tuple(load_members(connection))
    except (sqlalchemy.exc.DatabaseError, sqlite3.Error, DatabaseRefused) as error:
        raise SnapshotInvalid(f"the store is unreadable: {getattr(error, 'orig', error)}") from error
    finally:
        engine.dispose()
    if found != index:
        raise SnapshotInvalid(f"the store is as of {found}, not of {index}")
    return members
