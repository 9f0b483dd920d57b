"""A worker's replica: the log, materialised up to one entry, in one LMDB environment."""

from __future__ import annotations

import os
import shutil
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

import lmdb

from oarlock.wire.errors import OarlockError

from .errors import LayoutError, ReplicaFailedError, ReplicaFullError, engine_error
from .last_write import LastWrite, is_as_left, seal_file
from .layout import Meta
from .mark import check_mark, remove_mark, sync_directory, write_mark
from .pages import check_pages
from .read import ReadView
from .tables import DATA_FILE, Tables, create_tables, open_environment, open_tables, read_meta
from .write import WriteView

DEFAULT_MAP_BYTES: Final = 1 << 30

MAX_MAP_BYTES: Final = 1 << 42
"""4 TiB. The map is address space and not memory, of which a process has 128 TiB; this stops an endless growth."""

DEFAULT_MAX_READ_AGE_S: Final = 60.0
"""An open read keeps all pages that were freed since from being used again: a minute of writes, at most."""

MAX_COPY_WAIT_S: Final = 60.0
"""How long a full map waits for a copy that is under way: the map cannot move while it is read."""

MAX_GROWTHS: Final = 40
"""How often one write may find the map full: doubled so often, any map is larger than an address space."""

MAX_COMMITS: Final = 100_000
"""Measured and not yet counted: more than are made in a second; of more, the latest count."""


class Replica:
    """One LMDB environment, owned by one process and one thread (``copy_to`` alone may run on another thread).

    Invariants:
    1. ``meta`` is of the last write; data and meta change in one transaction.
    2. While the environment is open the mark beside it says "in use"; it says "clean" only after a forced write.
    3. The map never changes while a transaction is open, here or in ``copy_to``.
    4. At most one write transaction is open; whoever reads finds it committed (``settle``). So nobody can tell whether
       the last write is committed already, but by pulling the plug: what is lost then is in the log.

    Attributes:
        meta: the replicated facts after the last write.
        directory: where the files are.
        path: the data file.
        map_bytes: size of the memory map.
        commits_s: how long the latest commits took, in seconds; whoever counts them empties it.
        write_again: called where a transaction that was left open finds the map full when it commits, and is undone:
            writes the same once more, with ``write_on``.
    """

    def __init__(
        self,
        directory: Path,
        environment: lmdb.Environment,
        tables: Tables,
        meta: Meta,
        last_write: LastWrite,
        *,
        boot_id: str,
        max_read_age_s: float,
    ) -> None:
        self.meta = meta
        self.write_again: Callable[[], None] = lambda: None
        self._settled_meta = meta
        self._unsettled: WriteView | None = None
        self._failure: OarlockError | None = None
        self.commits_s: deque[float] = deque(maxlen=MAX_COMMITS)
        self.directory = directory
        self.path = directory / DATA_FILE
        self.map_bytes: int = environment.info()["map_size"]
        self._page_bytes: int = environment.stat()["psize"]
        self._environment = environment
        self._tables = tables
        self._boot_id = boot_id
        self._max_read_age_s = max_read_age_s
        self._last_write = last_write
        self._views: set[ReadView] = set()
        self._copying = threading.Lock()
        self._closed = False

    # --- life ---

    @classmethod
    def open(
        cls,
        directory: Path,
        *,
        boot_id: str,
        map_bytes: int = DEFAULT_MAP_BYTES,
        max_read_age_s: float = DEFAULT_MAX_READ_AGE_S,
    ) -> Replica:
        """Opens a replica, or makes an empty one where the directory is missing or empty.

        All pages are checked before the file is mapped (``pages``), about 2 s for a gigabyte, unless the file is as
        the last commit to it has left it (``last_write``).

        Args:
            directory: of this replica alone.
            boot_id: identifies the machine's current boot (Linux: ``/proc/sys/kernel/random/boot_id``).
            map_bytes: size of the memory map to start with; it grows by itself.
            max_read_age_s: how long a read view may be open.

        Raises:
            ReplicaUntrustedError: the machine crashed while the replica was in use, or the mark is missing.
            DamageError: the file is missing, unreadable, cut off, overwritten, or of another format. After either,
                ``discard`` the directory and rebuild the replica.
            ReplicaFailedError: the file system refused.
        """
        try:
            fresh = not directory.exists() or not any(directory.iterdir())
            if fresh:
                directory.mkdir(parents=True, exist_ok=True)
            else:
                check_mark(directory, boot_id=boot_id)
                if not is_as_left(directory / DATA_FILE):
                    check_pages(directory / DATA_FILE)
            write_mark(directory, boot_id=boot_id, clean=False)
            environment, tables, meta = _open(directory, map_bytes, fresh)
            try:
                last_write = LastWrite(directory / DATA_FILE)
            except BaseException:
                environment.close()
                raise
        except OSError as error:
            raise ReplicaFailedError(f"{ReplicaFailedError.text}: {directory}: {error}") from error
        last_write.update()
        return cls(directory, environment, tables, meta, last_write, boot_id=boot_id, max_read_age_s=max_read_age_s)

    @staticmethod
    def adopt(directory: Path, *, boot_id: str, just_copied: bool = False) -> None:
        """Declares a data file that came from ``copy_to`` to be a replica that stopped cleanly, for ``open``.

        Args:
            directory: has the file under the name ``data.mdb``, complete.
            boot_id: of the machine's current boot.
            just_copied: the caller has made the copy itself, just now: ``open`` need not check its pages.

        Raises:
            ReplicaFailedError: there is no such file, or the file system refused.
        """
        try:
            with (directory / DATA_FILE).open("rb+") as file:
                os.fsync(file.fileno())
            sync_directory(directory)
            if just_copied:
                seal_file(directory / DATA_FILE)
            write_mark(directory, boot_id=boot_id, clean=True)
        except OSError as error:
            raise ReplicaFailedError(f"{ReplicaFailedError.text}: {directory}: {error}") from error

    @staticmethod
    def discard(directory: Path) -> None:
        """Deletes a replica that is not open, whatever is left of it. It is no error if there is none."""
        shutil.rmtree(directory, ignore_errors=True)

    def close(self, *, clean: bool = True) -> None:
        """Ends all views, waits for a copy under way, and closes the replica. It is no error to do it twice.

        Args:
            clean: force the file to disk and mark it clean, so that it is trusted even in another boot.

        Raises:
            ReplicaFailedError, ReplicaFullError: the file could not be written or forced to disk; it is closed but not
                marked clean.
        """
        if self._closed:
            return
        self._closed = True
        self._expire_views()
        try:
            if clean:
                self.settle()
                self._force()
        finally:
            self._abandon()
            with self._copying:
                self._environment.close()
            self._last_write.close()
        if clean:
            write_mark(self.directory, boot_id=self._boot_id, clean=True)

    def _force(self) -> None:
        """Forces the file to disk, and notes how it was left."""
        try:
            self._environment.sync(True)
            self._last_write.seal()
        except lmdb.Error as error:
            raise engine_error(error, self.path) from error
        except OSError as error:
            raise ReplicaFailedError(f"{ReplicaFailedError.text}: {self.path}: {error}") from error

    def distrust(self) -> None:
        """Its contents are known to be wrong: whoever opens it next is refused, whatever becomes of this process.

        Raises:
            OSError: the file system refused.
        """
        remove_mark(self.directory)

    # --- transactions ---

    def read(self) -> ReadView:
        """Begins a read of what was written last. Use it as a context manager.

        Raises:
            OverloadedError: too many reads are open.
            ReplicaFullError, ReplicaFailedError, DamageError: see ``settle``.
        """
        if self._unsettled is not None or self._failure is not None:
            self.settle()
        try:
            transaction = self._environment.begin()
        except lmdb.Error as error:
            raise engine_error(error, self.path) from error
        view = ReadView(
            transaction,
            self._tables,
            self.meta,
            self.path,
            opened_at_s=time.monotonic(),
            on_close=self._views.discard,
        )
        self._views.add(view)
        return view

    def write(self) -> WriteView:
        """Begins a write transaction. Use it as a context manager: it commits, or undoes everything on an exception.

        Raises (when the context is left):
            ReplicaFullError: the map was full; it has grown, apply the same entries again.
            ReplicaFailedError: the engine failed, for example because the disk is full.
            DamageError: the engine found damage.
        """
        self.settle()
        return self._begin(None)

    def write_on(self) -> WriteView:
        """As ``write``, but what is written is not committed when the context is left: it goes into one transaction
        with what is written next, until ``settle``, or until somebody reads. An exception undoes all of it.

        A commit writes every page that was touched: to write in small steps and commit seldom is several times cheaper.
        """
        view, self._unsettled = self._unsettled, None
        if view is None:
            return self._begin(self._left)
        view.changes = []
        return view

    @property
    def is_settled(self) -> bool:
        """Whether all that was written is committed."""
        return self._unsettled is None

    def settle(self) -> None:
        """Commits what was written and is not committed yet.

        Raises:
            ReplicaFullError: the map is as large as it may be.
            ReplicaFailedError: the engine failed, for example because the disk is full. What was not committed is
                undone; ``meta`` says how far. Others were told of it: nobody can read or write here from now on.
            DamageError: the engine found damage; likewise.
        """
        if self._failure is not None:
            raise self._failure
        for _ in range(MAX_GROWTHS):
            view, self._unsettled = self._unsettled, None
            if view is None:
                return
            try:
                view.commit()
            except ReplicaFullError:
                self.write_again()
            except OarlockError as failure:
                self._failure = failure
                raise
        raise ReplicaFullError

    def _left(self, view: WriteView) -> None:
        self._unsettled = view
        self.meta = view.meta

    def _abandon(self) -> None:
        view, self._unsettled = self._unsettled, None
        if view is not None:
            view.transaction.abort()

    def _begin(self, on_left: Callable[[WriteView], None] | None) -> WriteView:
        if self._views:
            self.expire_reads(time.monotonic())
        self._grow_in_time()
        try:
            transaction = self._environment.begin(write=True)
        except lmdb.Error as error:
            raise engine_error(error, self.path) from error
        return WriteView(
            transaction,
            self._tables,
            self.meta,
            self.path,
            on_commit=self._committed,
            on_abort=self._aborted,
            on_left=on_left,
        )

    def expire_reads(self, now_s: float) -> int:
        """Ends the reads that are too old; ``write`` does it by itself.

        Args:
            now_s: the monotonic clock.

        Returns:
            How many were ended.
        """
        too_old = [view for view in self._views if now_s - view.opened_at_s > self._max_read_age_s]
        for view in too_old:
            view.expire()
        return len(too_old)

    def _expire_views(self) -> None:
        for view in list(self._views):
            view.expire()

    def _committed(self, meta: Meta, took_s: float) -> None:
        self.meta = self._settled_meta = meta
        self.commits_s.append(took_s)
        self._last_write.update()

    def _aborted(self, error: BaseException) -> None:
        self.meta = self._settled_meta
        if isinstance(error, lmdb.MapFullError):
            self.grow()
            raise ReplicaFullError from error
        if isinstance(error, lmdb.Error | LayoutError | struct.error):
            raise engine_error(error, self.path) from error

    # --- space ---

    def size_bytes(self) -> int:
        """Size of the database file: all pages that were ever used."""
        return int(self._environment.info()["last_pgno"] + 1) * self._page_bytes

    def in_use_bytes(self) -> int:
        """Size of the pages in use, without those of a key's history where it is too long for its own page."""
        with self._environment.begin() as transaction:
            handles = [self._environment.stat(), *map(transaction.stat, self._tables[:-1])]
            handles += map(transaction.stat, self._tables.records.values())
        pages = sum(stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"] for stat in handles)
        return int(pages) * self._page_bytes

    def grow(self) -> None:
        """Doubles the map. Reads that are open end with ``ReadExpiredError``; a copy under way is waited for.

        Raises:
            ReplicaFullError: the copy took too long, or the map is as large as it may be.
        """
        if self.map_bytes >= MAX_MAP_BYTES:
            raise ReplicaFullError(f"{ReplicaFullError.text}: {self.map_bytes} bytes, and it may not grow any more")
        if not self._copying.acquire(timeout=MAX_COPY_WAIT_S):
            raise ReplicaFullError(f"{ReplicaFullError.text}: and a copy of it is under way")
        try:
            self._expire_views()
            self._double_map()
        finally:
            self._copying.release()

    def _grow_in_time(self) -> None:
        """Grows the map when less than a quarter of it is left, if nobody is in the way."""
        if self.size_bytes() * 4 < self.map_bytes * 3 or self._views or self.map_bytes >= MAX_MAP_BYTES:
            return
        if self._copying.acquire(blocking=False):
            try:
                self._double_map()
            finally:
                self._copying.release()

    def _double_map(self) -> None:
        self._environment.set_mapsize(self.map_bytes * 2)
        self.map_bytes *= 2

    def copy_to(self, target: Path) -> Meta:
        """Writes a compact copy of what was committed last, and forces it to disk. May run on another thread,
        which is why it does not ``settle``: the caller does.

        Args:
            target: the file to write, overwritten if it exists; ``adopt`` makes a replica of it.

        Returns:
            The meta record that the copy has.

        Raises:
            ReplicaFailedError: the replica is closed, or the file system refused; what was written is not complete.
        """
        with self._copying:
            if self._closed:
                raise ReplicaFailedError(f"{ReplicaFailedError.text}: {self.path} is closed")
            try:
                with target.open("wb") as file, self._environment.begin() as transaction:
                    meta = read_meta(transaction, self._tables)
                    self._environment.copyfd(file.fileno(), compact=True, txn=transaction)
                    os.fsync(file.fileno())
            except OSError as error:
                raise ReplicaFailedError(f"{ReplicaFailedError.text}: {target}: {error}") from error
            except (lmdb.Error, LayoutError) as error:
                raise engine_error(error, self.path) from error
            return meta


def _open(directory: Path, map_bytes: int, fresh: bool) -> tuple[lmdb.Environment, Tables, Meta]:
    path = directory / DATA_FILE
    try:
        environment = open_environment(directory, map_bytes)
    except lmdb.Error as error:
        raise engine_error(error, path) from error
    try:
        tables, meta = create_tables(environment) if fresh else _open_tables(environment, path)
    except BaseException:
        environment.close()
        raise
    return environment, tables, meta


def _open_tables(environment: lmdb.Environment, path: Path) -> tuple[Tables, Meta]:
    """As ``open_tables``, with as large a map as an older format needs to become the present one."""
    for _ in range(MAX_GROWTHS):
        try:
            return open_tables(environment, path)
        except lmdb.MapFullError:
            environment.set_mapsize(environment.info()["map_size"] * 2)
    raise ReplicaFullError
