"""How much of a replica's file stays mapped."""

from __future__ import annotations

import re
from pathlib import Path

from replica_cases import AMPLE_MAP, entry, open_replica

from oarlock.storage.replica import Replica
from oarlock.storage.replica.resident import ROUND_S, SLICE_BYTES, Residence

KEYS = 3000


def filled(directory: Path) -> Replica:
    replica = open_replica(directory, map_bytes=AMPLE_MAP)
    with entry(replica) as view:
        for number in range(KEYS):
            view.put(b"%05d" % number, b"v" * 1000, 0)
    return replica


def read_all(replica: Replica) -> int:
    with replica.read() as view:
        return sum(len(kv[1]) for kv in view.scan(b"", None))


def resident_bytes(path: Path) -> int:
    """How much of the file is mapped and present in this process."""
    total, ours = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            ours = line.endswith(str(path))
        elif ours and line.startswith("Rss:"):
            total += int(line.split()[1]) * 1024
    return total


def test_an_idle_process_lets_go_of_all_and_finds_all_again(tmp_path: Path) -> None:
    replica = filled(tmp_path / "r")
    residence = Residence(replica.path)
    whole = read_all(replica)
    assert resident_bytes(replica.path) > KEYS * 1000
    residence.every_second(is_idle=True)
    assert resident_bytes(replica.path) == 0
    assert read_all(replica) == whole == KEYS * 1000
    replica.close()


def test_a_read_that_is_under_way_goes_on(tmp_path: Path) -> None:
    replica = filled(tmp_path / "r")
    residence = Residence(replica.path)
    with replica.read() as view:
        rows = view.scan(b"", None)
        first = next(rows)
        residence.every_second(is_idle=True)
        assert [first, *rows] == list(view.scan(b"", None))
    replica.close()


def test_a_busy_process_lets_go_of_all_once_in_a_round(tmp_path: Path) -> None:
    replica = filled(tmp_path / "r")
    residence = Residence(replica.path)
    read_all(replica)
    before = resident_bytes(replica.path)
    residence.every_second(is_idle=False)
    assert resident_bytes(replica.path) < before
    assert before < SLICE_BYTES
    for _ in range(ROUND_S):
        residence.every_second(is_idle=False)
    assert resident_bytes(replica.path) == 0
    replica.close()


def test_a_map_that_has_moved_is_found(tmp_path: Path) -> None:
    replica = filled(tmp_path / "r")
    residence = Residence(replica.path)
    replica.grow()
    read_all(replica)
    residence.every_second(is_idle=True)
    assert resident_bytes(replica.path) == 0
    assert read_all(replica) == KEYS * 1000
    replica.close()
