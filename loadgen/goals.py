"""What Oarlock is to reach beside etcd, and how a comparison stands to it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import Final

from oarlock.loadgen.comparison import Comparison
from oarlock.loadgen.measurements import Row


@dataclass(frozen=True, slots=True)
class Goal:
    """A ratio, our figure divided by etcd's.

    Attributes:
        part: of ``oarlock bench compare``.
        task: what the names of its tasks begin with.
        figure: of a sample: ``rate`` is to be at least the ratio, the others are costs and to be at most that.
        least, aim: what must be, and what is wanted.
    """

    part: str
    task: str
    figure: str
    least: float
    aim: float

    @property
    def words(self) -> str:
        """For a table."""
        sign = ">=" if self.figure == "rate" else "<="
        return f"{sign} {self.least:g}, better {self.aim:g}"


_FIGURES: Final = {
    "rate": "rate",
    "p50_ms": "median time",
    "p99_ms": "99 % time",
    "servers_us": "servers' processor time for each",
}

GOALS: Final = (
    Goal("native", "puts, 1,000 in flight", "rate", 2.5, 4),
    Goal("native", "serializable reads, 1,000 in flight", "rate", 4, 8),
    Goal("native", "linearizable reads, 1,000 in flight", "rate", 3, 6),
    Goal("native", "puts, 1 in flight", "p50_ms", 1.0, 0.8),
    Goal("native", "linearizable reads, 1 in flight", "p50_ms", 0.6, 0.4),
    Goal("native", "serializable reads, 1 in flight", "p50_ms", 0.6, 0.4),
    Goal("grpc", "puts, 1 client ", "p50_ms", 1.2, 1.0),
    Goal("grpc", "linearizable reads, 1 client ", "p50_ms", 0.6, 0.5),
    Goal("grpc", "serializable reads, 1 client ", "p50_ms", 0.6, 0.5),
    Goal("grpc", "puts, 100 clients", "rate", 1.2, 2),
    Goal("grpc", "linearizable reads, 100 clients", "rate", 1.2, 2),
    Goal("grpc", "serializable reads, 100 clients", "rate", 1.2, 2),
    Goal("grpc", "puts, 1,000 clients", "rate", 1.5, 2.5),
    Goal("grpc", "linearizable reads, 1,000 clients", "rate", 1.3, 2),
    Goal("grpc", "serializable reads, 1,000 clients", "rate", 1.3, 2),
    Goal("watches", "events of one key", "rate", 1.5, 3),
    Goal("watches", "events of one key", "servers_us", 0.3, 0.1),
    Goal("cluster", "puts to the leader, 1,000 in flight", "rate", 1.5, 2.5),
    Goal("lists", "list of", "p50_ms", 0.7, 0.3),
    Goal("lists", "puts by 100 clients", "p99_ms", 0.3, 0.1),
    Goal("keys", "restart with", "p50_ms", 0.2, 0.1),
)
MEMORY: Final = Goal("keys", "memory", "pss", 1.0, 0.5)
"""Of what ``compare_keys`` looks at, which is no load."""


def standing(part: str, comparisons: Iterable[Comparison]) -> list[Row]:
    """A row for each goal of ``part`` and comparison that it is about: the median of our figure divided by etcd's."""
    about = ((goal, each) for each in comparisons for goal in GOALS if goal.part == part)
    rows = []
    for goal, comparison in about:
        ratios = comparison.ratios(goal.figure)
        if ratios and comparison.task.name.startswith(goal.task):
            name = f"{part}: {comparison.task.name}: {_FIGURES[goal.figure]}"
            detail = {"lowest": min(ratios), "highest": max(ratios)}
            rows.append(Row(name, median(ratios), "× etcd's", goal.words, detail))
    return rows
