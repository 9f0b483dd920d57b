"""The log on a real file system, with a reader beside the writer."""

from __future__ import annotations

import os
import random
from pathlib import Path
from threading import Event, Thread

import pytest
from log_cases import IDENTITY, entries, entry, everything

from oarlock.storage.disk import RealDisk
from oarlock.storage.log import HardState, Log, LogCompactedError, LogOptions, LogUnavailableError, TornTail
from oarlock.wire.errors import DamageError

OPTIONS = LogOptions(segment_bytes=20_000, preallocate_bytes=4096, cache_bytes=2000)


def fill(log: Log, count: int) -> None:
    for index in range(1, count + 1):
        log.append([entry(index)], HardState(1, 1))
    log.sync()


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_log_is_there_after_a_restart(tmp_path: Path) -> None:
    log = Log.create(tmp_path / "a" / "log", RealDisk(), IDENTITY, OPTIONS)
    fill(log, 1000)
    assert len(log.segment_paths) > 3
    again = Log.open(tmp_path / "a" / "log", RealDisk(), IDENTITY, OPTIONS)  # as after a kill: no clean stop
    assert (everything(again), again.torn_tail, again.hard_state) == (entries(1, 1001), None, HardState(1, 1))
    again.close()
    log.close()


def test_clean_stop_gives_allocated_space_back(tmp_path: Path) -> None:
    log = Log.create(tmp_path, RealDisk(), IDENTITY, OPTIONS)
    fill(log, 3)
    [path] = log.segment_paths
    assert path.stat().st_size > 4096
    log.close()
    assert path.stat().st_size < 1000


def test_torn_tail_and_damage_are_told_apart(tmp_path: Path) -> None:
    log = Log.create(tmp_path, RealDisk(), IDENTITY, LogOptions(preallocate_bytes=0))
    for index in range(1, 4):
        log.append([entry(index)])
        log.sync()
    [path] = log.segment_paths
    data = path.read_bytes()
    path.write_bytes(data[:-4])
    again = Log.open(tmp_path, RealDisk(), IDENTITY)
    assert again.last_index() == 2
    assert again.torn_tail is not None
    assert again.torn_tail == TornTail(path, path.stat().st_size, len(data) - 4 - path.stat().st_size)
    again.close()
    log.close()
    path.write_bytes(data[:200] + b"\xff" + data[201:])
    before = open_descriptors()
    with pytest.raises(DamageError) as error:
        Log.open(tmp_path, RealDisk(), IDENTITY)
    assert error.value.path == str(path)
    assert open_descriptors() == before


def test_descriptors_are_given_back(tmp_path: Path) -> None:
    before = open_descriptors()
    log = Log.create(tmp_path, RealDisk(), IDENTITY, OPTIONS)
    fill(log, 1000)
    log.truncate_prefix(900)
    log.reset(2000, 2)
    assert open_descriptors() == before + 1
    log.close()
    assert open_descriptors() == before


def read_until(done: Event, log: Log, counts: dict[str, int]) -> None:
    """Reads random ranges, and counts those read and those that the writer had taken away or not brought yet."""
    chance = random.Random(1)
    while not done.is_set():
        low = chance.randint(max(1, log.first_index() - 50), log.last_index() + 2)
        high = low + chance.randint(0, 50)
        try:
            found = log.entries(low, min(high, log.last_index() + 1), 1000)
        except (LogCompactedError, LogUnavailableError):
            counts["refused"] += 1
            continue
        counts["read"] += len(found)
        if found != entries(low, low + len(found)):
            counts["wrong"] += 1


def test_reads_beside_the_writer_are_right_or_refused(tmp_path: Path) -> None:
    log = Log.create(tmp_path, RealDisk(), IDENTITY, OPTIONS)
    fill(log, 10)
    done, counts = Event(), {"read": 0, "refused": 0, "wrong": 0}
    reader = Thread(target=read_until, args=(done, log, counts))
    reader.start()
    try:
        for index in range(11, 100_000):
            log.append([entry(index)])
            if index % 200 == 0:
                log.truncate_prefix(index - 100)
            if index > 1000 and counts["read"] > 200 and counts["refused"]:
                break
    finally:
        done.set()
        reader.join()
    log.close()
    assert counts["wrong"] == 0
    assert counts["read"] > 200
