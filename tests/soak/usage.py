"""What a server uses, sampled while it works, and whether that levels off.

A fit over the second half of a run says how fast something still grows. The fit is Theil's and Sen's, the median of the
slopes between all pairs, which neither a saw-tooth nor a single step bends.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from statistics import fmean, median

import psutil

from tests.server import Server

MIB = 1 << 20
LEAST_SAMPLES = 20
"""In the half that is fitted; fewer say nothing."""


@dataclass(frozen=True, slots=True)
class Level:
    """How something may go on growing in the second half of a run.

    Attributes:
        share: of its size there, over the length of that half.
        bytes: that are granted anyhow.
    """

    share: float
    bytes: int


MEMORY = Level(share=0.05, bytes=4 * MIB)
"""Of all processes, the pages of databases included."""
HEAP = Level(share=0.05, bytes=8 * MIB)
"""Of any one process. A snapshot's thread may take an arena of the allocator's, which stays: steps of 2 to 4 MiB, a few
in a process's life; 31 snapshots in a row added nothing more. A leak of 16 bytes a request is more on an idle machine.
"""
DATABASE = Level(share=0.05, bytes=4 * MIB)
"""Of a replica's file: it grows with the longest backlog between two compactions, and then stays."""
DATA = Level(share=0.10, bytes=32 * MIB)
"""Of everything on disk: a saw-tooth, as the log is cut behind each snapshot."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What a server used at one moment.

    Attributes:
        at_s: seconds since the first one.
        memory: proportional set size in bytes, by the name of the process.
        heap: the part of it that no file is behind.
        database_bytes: of the largest replica's file.
        data_bytes: of the whole data directory, as the disk counts it.
    """

    at_s: float
    memory: dict[str, int]
    heap: dict[str, int]
    database_bytes: int
    data_bytes: int


@dataclass(slots=True)
class Usage:
    """Samples of one server, in their order."""

    server: Server
    samples: list[Sample] = field(default_factory=list)
    began_s: float = field(default_factory=time.monotonic)

    def sample(self) -> Sample:
        """Takes one."""
        memory: dict[str, int] = {}
        heap: dict[str, int] = {}
        for process in self.server.processes():
            name = _name(process)
            memory[name], heap[name] = _memory_of(process.pid)
        taken = Sample(
            time.monotonic() - self.began_s,
            memory,
            heap,
            max((_size(path) for path in self.server.data_dir.glob("workers/*/replica/data.mdb")), default=0),
            sum(map(_size, self.server.data_dir.rglob("*"))),
        )
        self.samples.append(taken)
        return taken

    def check_levels(self) -> None:
        """Everything has levelled off.

        Raises:
            AssertionError: something still grows; says what, and how fast.
        """
        check_level("memory", MEMORY, [(each.at_s, sum(each.memory.values())) for each in self.samples])
        for name in self.samples[0].heap:
            check_level(f"the heap of {name}", HEAP, [(each.at_s, each.heap.get(name, 0)) for each in self.samples])
        check_level("database", DATABASE, [(each.at_s, each.database_bytes) for each in self.samples])
        check_level("data", DATA, [(each.at_s, each.data_bytes) for each in self.samples])

    def table(self) -> str:
        """Some of the samples."""
        names = sorted({name for sample in self.samples for name in sample.memory})
        lines = ["MiB: seconds  database  data  " + "  ".join(f"{name} (heap)" for name in names)]
        for sample in self.samples[:: max(1, len(self.samples) // 20)]:
            memory = (
                f"{sample.memory.get(name, 0) / MIB:.1f} ({sample.heap.get(name, 0) / MIB:.1f})" for name in names
            )
            disk = f"{sample.database_bytes / MIB:.1f}  {sample.data_bytes / MIB:.1f}"
            lines.append(f"{sample.at_s:.0f}  {disk}  {'  '.join(memory)}")
        return "\n".join(lines)


def check_level(what: str, level: Level, points: Sequence[tuple[float, int]]) -> None:
    """The second half of ``points``, (seconds, bytes), grows no more than ``level`` allows.

    Raises:
        AssertionError: it does; or there are too few points to tell.
    """
    half_s = (points[0][0] + points[-1][0]) / 2
    half = [point for point in points if point[0] >= half_s]
    assert len(half) >= LEAST_SAMPLES, f"{len(half)} samples of {what} are too few"
    slope = median((b - a) / (t - s) for (s, a), (t, b) in combinations(half, 2) if t > s)
    growth = slope * (half[-1][0] - half[0][0])
    mean = fmean(size for _, size in half)
    assert growth <= level.share * mean + level.bytes, (
        f"{what} still grows by {slope * 3600 / MIB:.1f} MiB an hour, at {mean / MIB:.1f} MiB"
    )


def holdings(server: Server) -> dict[str, tuple[int, int]]:
    """Open descriptors and threads, by the name of the process."""
    held: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for process in server.processes():
        with suppress(psutil.NoSuchProcess):
            held[_name(process)] = (process.num_fds(), process.num_threads())
    return dict(held)


def _name(process: psutil.Process) -> str:
    title = " ".join(process.cmdline()).strip("\0 ")
    return title.removeprefix("oarlock: ") if title.startswith("oarlock: ") else "supervisor"


def _memory_of(pid: int) -> tuple[int, int]:
    """Proportional set size, and the part of it that no file is behind, in bytes."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss")}
    return sizes["Pss"], sizes["Pss_Anon"]


def _size(path: Path) -> int:
    try:
        return path.stat().st_blocks * 512
    except FileNotFoundError:  # it was just replaced
        return 0
