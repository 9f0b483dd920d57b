"""What the replica alone can do, without log, network or state machine.

Run it with ``python -m oarlock.storage.replica.bench``. Each figure is the best of several runs, so that it says
something on a machine that does other things too.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from .compaction import Compactor
from .pages import check_pages
from .replica import Replica
from .scrub import Scrubber

KEYS = 100_000
BATCH = 1000
ROUNDS = 5
_STRIDE = 7919  # a prime: keys are written in an order that is not theirs


def _key(number: int) -> bytes:
    return b"key/%08d" % (number * _STRIDE % KEYS)


def _best_s(run: Callable[[], object]) -> float:
    """Seconds of the fastest of several runs."""
    best = float("inf")
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - begin)
    return best


def _exhaust(items: Iterable[Any]) -> None:
    deque(items, maxlen=0)


class Bench:
    """Measures one replica; the number of the next write goes on through all measurements."""

    def __init__(self, replica: Replica, value: bytes) -> None:
        self._replica = replica
        self._value = value
        self._next = 0

    def put_batch(self, size: int) -> None:
        """One transaction with ``size`` puts in one entry."""
        with self._replica.write() as view:
            for _ in range(size):
                view.put(_key(self._next), self._value, 0)
                view.finish_operation()
                self._next += 1
            view.end_entry(view.applied_index + 1, 1, self._next)

    def fill(self) -> None:
        for _ in range(KEYS // BATCH):
            self.put_batch(BATCH)

    def small_batches(self) -> None:
        for _ in range(BATCH):
            self.put_batch(1)

    def get_all(self) -> None:
        with self._replica.read() as view:
            get = view.get
            for number in range(KEYS):
                get(_key(number))

    def get_in_views(self) -> None:
        key = _key(1)
        for _ in range(KEYS):
            with self._replica.read() as view:
                view.get(key)

    def scan(self, **options: Any) -> None:
        with self._replica.read() as view:
            _exhaust(view.scan(b"", None, **options))

    def count(self, revision: int = 0) -> None:
        with self._replica.read() as view:
            view.count(b"k", b"l", revision=revision)

    def history(self) -> None:
        with self._replica.read() as view:
            first = view.revision - KEYS + 1
            while first <= view.revision:
                _, first = view.history_page(b"", None, first, view.revision, max_bytes=1 << 20)

    def hash_kv(self) -> None:
        with self._replica.read() as view:
            view.hash_kv().run()

    def scrub(self) -> None:
        scrubber = Scrubber()
        while not scrubber.step(self._replica):
            pass

    def compact(self) -> None:
        with self._replica.write() as view:
            view.set_compact_revision(view.revision)
            view.end_entry(view.applied_index + 1, 1, self._next)
        while not Compactor().step(self._replica):
            pass


def _report(name: str, seconds: float, operations: int) -> None:
    click.echo(f"{name:<44} {seconds / operations * 1e6:>10.2f} µs {seconds:>10.3f} s for {operations:,}")


def _measure(bench: Bench, replica: Replica, directory: Path) -> None:
    bench.fill()
    _report(f"put, {BATCH} a transaction", _best_s(lambda: bench.put_batch(BATCH)), BATCH)
    _report("put, 1 a transaction, with its commit", _best_s(bench.small_batches), BATCH)
    _report("get", _best_s(bench.get_all), KEYS)
    _report("get, each in a view of its own", _best_s(bench.get_in_views), KEYS)
    _report("scan", _best_s(bench.scan), KEYS)
    _report("scan, keys only", _best_s(lambda: bench.scan(keys_only=True)), KEYS)
    _report("count", _best_s(bench.count), KEYS)
    bench.fill()
    past = replica.meta.revision - 1
    _report("scan at an old revision", _best_s(lambda: bench.scan(revision=past)), KEYS)
    _report("count at an old revision", _best_s(lambda: bench.count(past)), KEYS)
    _report("history", _best_s(bench.history), KEYS)
    _report("hash", _best_s(bench.hash_kv), 2 * KEYS)
    begin = time.perf_counter()
    bench.scrub()
    _report("scrub", time.perf_counter() - begin, 2 * KEYS)
    begin = time.perf_counter()
    bench.compact()
    _report("compaction", time.perf_counter() - begin, 2 * KEYS)
    begin = time.perf_counter()
    replica.copy_to(directory / "copy")
    _report("compact copy, forced to disk", time.perf_counter() - begin, 1)
    _report("check of the pages (at open)", _best_s(lambda: check_pages(directory / "copy")), 1)


@click.command()
@click.option("--value-bytes", default=256, show_default=True, help="Size of every value.")
def main(value_bytes: int) -> None:
    """Measures the replica on a temporary directory."""
    directory = Path(tempfile.mkdtemp(prefix="oarlock-replica-bench-"))
    try:
        replica = Replica.open(directory / "replica", boot_id="bench")
        _measure(Bench(replica, b"x" * value_bytes), replica, directory)
        replica.close(clean=False)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
