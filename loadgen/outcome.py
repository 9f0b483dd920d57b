"""What came of a load: mergeable over processes, and made of plain values where it travels or is kept.

An outcome has a series for each kind of request (``put``, ``range``, ...), because a mean over different things says
nothing about any of them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from oarlock.loadgen.histogram import Histogram
from oarlock.loadgen.timeline import Timeline

REQUESTS: Final = "requests"
"""The name of the series where there is one kind of request alone."""


@dataclass(frozen=True, slots=True)
class Figures:
    """All requests of a load together.

    Attributes:
        seconds: from the start to the last end.
        sent: requests issued.
        latencies: of those that succeeded.
        errors: how many failed, by the name of their error's class.
        cpu_s: processor time that the load generator used itself.
    """

    seconds: float
    sent: int
    latencies: Histogram
    errors: Counter[str]
    cpu_s: float = 0.0

    @property
    def rate(self) -> float:
        """Successful requests a second."""
        return self.latencies.count / self.seconds if self.seconds > 0 else 0.0

    @property
    def generator_us(self) -> float:
        """Processor time of the load generator for each request, in microseconds."""
        return self.cpu_s / self.sent * 1e6 if self.sent else 0.0


@dataclass(slots=True)
class Series:
    """Requests of one kind.

    Attributes:
        latencies: of those that succeeded: a quick refusal must not make the server look fast.
        sent: requests issued.
        errors: how many failed, by the name of their error's class.
    """

    latencies: Histogram = field(default_factory=Histogram)
    sent: int = 0
    errors: Counter[str] = field(default_factory=Counter)

    def merge(self, other: Series) -> None:
        """Adds all that ``other`` has counted."""
        self.latencies.merge(other.latencies)
        self.sent += other.sent
        self.errors.update(other.errors)

    def to_wire(self) -> list[Any]:
        """Plain values, ready for msgpack or JSON."""
        return [self.latencies.to_wire(), self.sent, dict(self.errors)]

    @classmethod
    def from_wire(cls, values: list[Any]) -> Series:
        """What ``to_wire`` gave."""
        latencies, sent, errors = values
        return cls(Histogram.from_wire(latencies), sent, Counter(errors))


@dataclass(slots=True)
class Outcome:
    """What came of a load in one process, or of all of them after ``merge``.

    Attributes:
        seconds: from the start to the last end; of the longest process.
        cpu_s: processor time that the load generator used, all processes together.
        series: requests by kind.
        counts: whatever else was counted, by name.
        timeline: all requests, interval by interval.
    """

    seconds: float = 0.0
    cpu_s: float = 0.0
    series: dict[str, Series] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    timeline: Timeline = field(default_factory=Timeline)

    def merge(self, other: Outcome) -> None:
        """Adds another process's outcome of the same load."""
        self.seconds = max(self.seconds, other.seconds)
        self.cpu_s += other.cpu_s
        for name, series in other.series.items():
            self.series.setdefault(name, Series()).merge(series)
        self.counts.update(other.counts)
        self.timeline.merge(other.timeline)

    def figures(self, *names: str) -> Figures:
        """The requests of the series ``names`` together; of all series without names."""
        together = Series()
        for name, series in self.series.items():
            if not names or name in names:
                together.merge(series)
        return Figures(self.seconds, together.sent, together.latencies, together.errors, self.cpu_s)

    def to_wire(self) -> dict[str, Any]:
        """Plain values, ready for msgpack or JSON."""
        return {
            "seconds": self.seconds,
            "cpu_s": self.cpu_s,
            "series": {name: series.to_wire() for name, series in self.series.items()},
            "counts": dict(self.counts),
            "timeline": self.timeline.to_wire(),
        }

    @classmethod
    def from_wire(cls, values: dict[str, Any]) -> Outcome:
        """What ``to_wire`` gave."""
        return cls(
            values["seconds"],
            values["cpu_s"],
            {name: Series.from_wire(series) for name, series in values["series"].items()},
            Counter(values["counts"]),
            Timeline.from_wire(values["timeline"]),
        )
