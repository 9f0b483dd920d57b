"""Two systems under the same loads, in turn, and how their rates compare.

A machine is not equally fast all the time. So the systems take turns within each round, and the ratio is taken of two
samples that are neighbours in time; several rounds give its spread. Who goes first changes from round to round.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from statistics import median
from typing import Any, Final, Protocol

OURS: Final = "oarlock"
THEIRS: Final = "etcd"


@dataclass(frozen=True, slots=True)
class Task:
    """One load.

    Attributes:
        name: for people.
        in_flight: requests in flight in all, each followed by the next at its answer.
        is_put: puts, else reads of single keys.
        serializable: reads from the member that is asked, perhaps behind; else linearizable.
        leader_only: requests go to the leader alone, else to all members in turn.
        connections: which the requests share; None leaves that to the contender.
        watchers: watches of the one key that is put, each with a stream of its own: the load is their events then.
        listed: keys in the list that each read is of; if it is of puts, in a list that is read meanwhile without end.
        keys_only: lists have no values.
        listers: clients that list meanwhile, each without end.
        puts_each: puts in each transaction, which is what requests are then; 0 for single puts.
    """

    name: str
    in_flight: int
    is_put: bool = True
    serializable: bool = False
    leader_only: bool = False
    connections: int | None = None
    watchers: int = 0
    listed: int = 0
    keys_only: bool = False
    listers: int = 1
    puts_each: int = 0


@dataclass(frozen=True, slots=True)
class Sample:
    """What one system did under one load.

    Attributes:
        rate: requests a second.
        p50_ms, p99_ms: latencies; 0 where none were taken.
        generator_us: processor time of the load generator, a request, in microseconds.
        servers_us: processor time of all processes of the system, a request, in microseconds; a contender may leave
            it to ``compare``.
        bystander_percent: what the other system used meanwhile, in percent of a core; it should be next to nothing.
    """

    rate: float
    p50_ms: float
    p99_ms: float
    generator_us: float
    servers_us: float = 0.0
    bystander_percent: float = 0.0


class Contender(Protocol):
    """A running system that can be put under load."""

    async def press(self, task: Task, seconds: float) -> Sample:
        """Puts the load of ``task`` on it. Raises RuntimeError where a request failed."""

    def cpu_s(self) -> float:
        """Processor time of all its processes, in seconds."""


_RATIOS: Final = {"ratio": "rate", "p50_ratio": "p50_ms", "p99_ratio": "p99_ms"}
"""The ratios in the data of a comparison, and of which figure each is."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The samples of a task by system, in order of rounds; as many of each system, and one at least."""

    task: Task
    samples: dict[str, list[Sample]] = field(default_factory=dict)

    def ratios(self, figure: str = "rate") -> list[float]:
        """Our figure of a sample divided by theirs, round by round; nothing where one system has none."""
        if self.samples.keys() != {OURS, THEIRS}:
            return []
        pairs = zip(self.samples[OURS], self.samples[THEIRS], strict=True)
        values = [(getattr(ours, figure), getattr(theirs, figure)) for ours, theirs in pairs]
        return [ours / theirs for ours, theirs in values] if all(map(all, values)) else []

    def as_data(self) -> dict[str, Any]:
        """Plain values, ready for JSON: medians over the rounds, and every sample."""
        data: dict[str, Any] = {"task": asdict(self.task)}
        for name, figure in _RATIOS.items():
            if ratios := self.ratios(figure):
                data[name] = {"median": median(ratios), "lowest": min(ratios), "highest": max(ratios)}
        data["systems"] = {name: _medians(samples) for name, samples in self.samples.items()}
        data["samples"] = {name: [asdict(sample) for sample in samples] for name, samples in self.samples.items()}
        return data


def _medians(samples: Sequence[Sample]) -> dict[str, float]:
    each = [asdict(sample) for sample in samples]
    return {name: median(values[name] for values in each) for name in each[0]}


async def compare(
    contenders: dict[str, Contender],
    tasks: Sequence[Task],
    rounds: int,
    seconds: float,
    tell: Callable[[str], None],
) -> list[Comparison]:
    """Puts every task on every system in each of ``rounds`` rounds, ``seconds`` each time.

    Args:
        contenders: one or both of ``OURS`` and ``THEIRS``.
        tell: told of every sample, for people who wait.

    Raises:
        RuntimeError: a request failed.
        ValueError: no round.
    """
    if rounds < 1:
        raise ValueError(f"a comparison has 1 round or more, not {rounds}")
    comparisons = [Comparison(task, {name: [] for name in contenders}) for task in tasks]
    for number in range(rounds):
        order = list(contenders) if number % 2 == 0 else list(reversed(contenders))
        for comparison in comparisons:
            for name in order:
                sample = await _sample(contenders, name, comparison.task, seconds)
                comparison.samples[name].append(sample)
                tell(f"round {number + 1}: {name}: {comparison.task.name}: {sample.rate:,.0f}/s")
    return comparisons


async def _sample(contenders: dict[str, Contender], name: str, task: Task, seconds: float) -> Sample:
    """One load, with the processor time of both systems during it."""
    before = {each: contender.cpu_s() for each, contender in contenders.items()}
    begin_s = time.monotonic()
    sample = await contenders[name].press(task, seconds)
    elapsed_s = time.monotonic() - begin_s
    used = {each: contender.cpu_s() - before[each] for each, contender in contenders.items()}
    servers_us = used.pop(name) / max(1.0, sample.rate * seconds) * 1e6
    return replace(
        sample,
        servers_us=sample.servers_us or servers_us,
        bystander_percent=sum(used.values()) / elapsed_s * 100,
    )
