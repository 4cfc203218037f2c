"""Opening a store: its file, and what of it lies in memory. Takes seconds for millions of keys, in any thread."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from storage.database import Database
from storage.history import History
from storage.index import Index
from storage.kv import Kv
from storage.loading import Content
from storage.metrics import Metrics
from storage.options import Options
from storage.reader import Readers
from storage.writer import Writer


@dataclass(frozen=True, slots=True)
class Opened:
    """A store that is open and loaded, for a `Machine` to use."""

    database: Database
    writer: Writer
    readers: Readers
    content: Content
    kv: Kv

    @classmethod
    def open(cls, path: Path, options: Options, metrics: Metrics) -> Self:
        """Opens the file, or creates it, and loads the current state.

        Raises: DatabaseRefused.
        """
        database = Database.open(path, options)
        try:
            content = database.load()
            return cls(database, Writer(database), Readers(database), content, _kv(content, options, metrics))
        except BaseException:
            database.close()
            raise

    def close(self) -> None:
        """Closes the file."""
        self.readers.close()
        self.database.close()


def _kv(content: Content, options: Options, metrics: Metrics) -> Kv:
    history = History(content.codes, content.gone)
    kv = Kv(Index(content.live), history, content.revision, content.compact_revision, metrics, options)
    kv.leases.load(content.leases)
    for each in content.live:
        kv.values.loaded(each)
        if each.lease:
            kv.leases.move(each.key, 0, each.lease)
    return kv
