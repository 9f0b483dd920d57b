"""Outcomes: what processes found, put together and sent around."""

from __future__ import annotations

import json
from collections import Counter

from oarlock.loadgen.outcome import Outcome, Series
from oarlock.wire.frames import pack, unpack


def outcome(seconds: float, kind: str, *latencies_ns: int, errors: int = 0) -> Outcome:
    series = Series(sent=len(latencies_ns) + errors, errors=Counter(NoSpaceError=errors))
    made = Outcome(seconds, cpu_s=1.5, series={kind: series}, counts=Counter(retries=errors))
    for latency_ns in latencies_ns:
        series.latencies.record(latency_ns)
        made.timeline.record(0.1, latency_ns)
    return made


def test_processes_add_up_by_kind_and_last_as_long_as_the_longest() -> None:
    together = outcome(2.0, "put", 10, 20, errors=1)
    together.merge(outcome(3.0, "put", 30, errors=2))
    together.merge(outcome(1.0, "range", 40))
    assert (together.seconds, together.cpu_s, together.counts) == (3.0, 4.5, {"retries": 3})
    puts = together.series["put"]
    assert (puts.sent, puts.latencies.count, puts.latencies.highest_ns, puts.errors) == (6, 3, 30, {"NoSpaceError": 3})
    assert [row.ended for row in together.timeline.rows()] == [4]


def test_figures_are_of_all_kinds_or_of_those_named() -> None:
    together = outcome(2.0, "put", 10, 20)
    together.merge(outcome(2.0, "range", 30))
    assert (together.figures().sent, together.figures().rate) == (3, 1.5)
    assert together.figures("range").latencies.lowest_ns == 30


def test_an_outcome_travels_as_msgpack_and_as_json() -> None:
    sent = outcome(2.0, "put", 10, 10, 10**9, errors=2)
    for arrived in (unpack(pack(sent.to_wire())), json.loads(json.dumps(sent.to_wire()))):
        back = Outcome.from_wire(arrived)
        assert (back.seconds, back.cpu_s, back.series, back.counts) == (
            sent.seconds,
            sent.cpu_s,
            sent.series,
            sent.counts,
        )
        assert list(back.timeline.rows()) == list(sent.timeline.rows())


def test_merging_leaves_the_others_outcome_alone() -> None:
    together, other = Outcome(), outcome(1.0, "put", 10)
    together.merge(other)
    together.merge(other)
    assert other.series["put"].sent == 1
    assert together.series["put"].sent == 2
