"""The LMDB environment of a replica and the handles of its tables."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import lmdb

from oarlock.wire.errors import DamageError

from .errors import LayoutError
from .layout import FORMAT, FORMAT_1, RECORD_TABLES, TABLES, WITH_DUPLICATES, Meta
from .upgrade import HISTORY, give_forerunners

DATA_FILE = "data.mdb"
FORMAT_KEY = b"format"
META_KEY = b"meta"

MAX_READERS = 256
"""Read transactions open at once: one for each long request in slices, and the copy for a snapshot."""


class Tables(NamedTuple):
    """One handle a table, see ``layout``."""

    current: lmdb._Database
    events: lmdb._Database
    signposts: lmdb._Database
    leases: lmdb._Database
    lease_keys: lmdb._Database
    long_keys: lmdb._Database
    meta: lmdb._Database
    local: lmdb._Database
    records: dict[str, lmdb._Database]


def open_environment(directory: Path, map_bytes: int) -> lmdb.Environment:
    """Opens (or creates) the environment. Commits do not force anything to disk: the log is the durable copy.

    The file is written by ``pwrite``, not through the map: with a writable map a full disk would kill the process by
    SIGBUS instead of failing a commit.
    """
    return lmdb.open(
        str(directory),
        map_size=map_bytes,
        max_dbs=len(TABLES) + len(RECORD_TABLES) + 1,  # one that is upgraded has a table more
        max_readers=MAX_READERS,
        sync=False,
        metasync=False,
        lib_version=0,
    )


def create_tables(environment: lmdb.Environment) -> tuple[Tables, Meta]:
    """Makes the tables of an empty replica, in one transaction with the first meta record."""
    meta = Meta()
    with environment.begin(write=True) as transaction:
        tables = _open_all(environment, transaction, create=True)
        transaction.put(FORMAT_KEY, FORMAT, db=tables.meta)
        transaction.put(META_KEY, meta.encode(), db=tables.meta)
    return tables, meta


def open_tables(environment: lmdb.Environment, path: Path) -> tuple[Tables, Meta]:
    """Opens the tables of a replica that exists. One of format 1 becomes one of the present format, or stays as it was.

    Args:
        environment: of the replica.
        path: the file, for the error.

    Raises:
        DamageError: a table is missing, or the file is of another format.
        lmdb.MapFullError: the map has no room for the new format.
    """
    try:
        # A write transaction, though it writes nothing: its commit is what keeps the handles for good.
        with environment.begin(write=True) as transaction:
            _upgrade(environment, transaction)
            tables = _open_all(environment, transaction, create=False)
            return tables, read_meta(transaction, tables)
    except lmdb.MapFullError:
        raise
    except (lmdb.Error, LayoutError) as error:
        raise DamageError(path, 0, str(error)) from error


def read_meta(transaction: lmdb.Transaction[bytes], tables: Tables) -> Meta:
    """The meta record.

    Raises:
        LayoutError: it is missing, damaged or of another format.
    """
    _check_format(transaction, tables.meta, FORMAT)
    return Meta.decode(transaction.get(META_KEY, b"", db=tables.meta))


def _check_format(transaction: lmdb.Transaction[bytes], meta: lmdb._Database, *known: bytes) -> None:
    found = transaction.get(FORMAT_KEY, db=meta)
    if found not in known:
        raise LayoutError(f"format {found!r} is not {known[0]!r}")


def _upgrade(environment: lmdb.Environment, transaction: lmdb.Transaction[bytes]) -> None:
    """Brings a replica of format 1 to the present format, in the transaction.

    Raises:
        LayoutError: it is of neither, or its tables contradict each other.
    """
    meta = environment.open_db(b"meta", txn=transaction, create=False)
    _check_format(transaction, meta, FORMAT, FORMAT_1)
    if transaction.get(FORMAT_KEY, db=meta) == FORMAT:
        return
    history = environment.open_db(HISTORY, txn=transaction, create=False, dupsort=True)
    events = environment.open_db(b"events", txn=transaction, create=False)
    signposts = environment.open_db(b"signposts", txn=transaction, dupsort=True)
    give_forerunners(transaction, history, events, signposts)
    transaction.drop(history)
    transaction.put(FORMAT_KEY, FORMAT, db=meta)


def _open_all(environment: lmdb.Environment, transaction: lmdb.Transaction[bytes], *, create: bool) -> Tables:
    def table(name: str) -> lmdb._Database:
        return environment.open_db(
            name.encode(),
            txn=transaction,
            create=create,
            dupsort=name in WITH_DUPLICATES,
        )

    plain = {name: table(name) for name in TABLES}
    return Tables(**plain, records={name: table("record_" + name) for name in RECORD_TABLES})
