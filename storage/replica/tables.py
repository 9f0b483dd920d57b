"""The LMDB environment of a replica and the handles of its tables."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import lmdb

from oarlock.wire.errors import DamageError

from .errors import LayoutError
from .layout import FORMAT, RECORD_TABLES, TABLES, WITH_DUPLICATES, Meta

DATA_FILE = "data.mdb"
FORMAT_KEY = b"format"
META_KEY = b"meta"

MAX_READERS = 256
"""Read transactions open at once: one for each long request in slices, and the copy for a snapshot."""


class Tables(NamedTuple):
    """One handle a table, see ``layout``."""

    current: lmdb._Database
    events: lmdb._Database
    history: lmdb._Database
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
        max_dbs=len(TABLES) + len(RECORD_TABLES),
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
    """Opens the tables of a replica that exists.

    Args:
        environment: of the replica.
        path: the file, for the error.

    Raises:
        DamageError: a table is missing, or the file is of another format.
    """
    try:
        # A write transaction, though it writes nothing: its commit is what keeps the handles for good.
        with environment.begin(write=True) as transaction:
            tables = _open_all(environment, transaction, create=False)
            return tables, read_meta(transaction, tables)
    except (lmdb.Error, LayoutError) as error:
        raise DamageError(path, 0, str(error)) from error


def read_meta(transaction: lmdb.Transaction[bytes], tables: Tables) -> Meta:
    """The meta record.

    Raises:
        LayoutError: it is missing, damaged or of another format.
    """
    found = transaction.get(FORMAT_KEY, db=tables.meta)
    if found != FORMAT:
        raise LayoutError(f"format {found!r} is not {FORMAT!r}")
    return Meta.decode(transaction.get(META_KEY, b"", db=tables.meta))


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
