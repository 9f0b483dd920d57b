"""Jobs: how a load is shared out between processes."""

from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oarlock.loadgen.job import Job, find_workload
from oarlock.loadgen.plan import due_times
from oarlock.loadgen.runner import Load
from oarlock.loadgen.workloads import key_space
from oarlock.wire.frames import pack, unpack

LOAD = Load(("127.0.0.1:1",), clients=5, in_flight=3, total=17, rate=100.0)


def shares(job: Job, processes: int) -> list[Job]:
    return [job.for_share(share, processes) for share in range(processes)]


@given(st.integers(1, 5), st.integers(0, 50))
def test_nothing_is_lost_or_doubled_in_sharing(processes: int, count: int) -> None:
    jobs = shares(Job("put", LOAD), processes)
    loads = [job.own_load for job in jobs]
    assert (sum(load.clients for load in loads), sum(load.total or 0 for load in loads)) == (5, 17)
    assert sorted(number for job in jobs for number in job.numbers(count)) == list(range(count))
    assert sum(job.share_of(count) for job in jobs) == count


def test_open_loads_take_turns() -> None:
    loads = [job.own_load for job in shares(Job("put", LOAD), 4)]
    due = [due_s for load in loads for due_s in islice(due_times(load.rate, load.first_due_s), 3)]
    assert sorted(due) == pytest.approx([number / 100 for number in range(12)])


def test_keys_in_turn_are_shared_out_and_drawn_ones_differ() -> None:
    jobs = shares(Job("put", LOAD, {"key_space_size": 6}), 2)
    assert [list(islice(key_space(job).numbers(), 4)) for job in jobs] == [[0, 2, 4, 0], [1, 3, 5, 1]]
    drawn = shares(Job("put", LOAD, {"distribution": "uniform"}), 2)
    one, other = (list(islice(key_space(job).numbers(), 20)) for job in drawn)
    assert one != other


@pytest.mark.parametrize("options", [{"distribution": "normal"}, {"distribution": "zipf", "zipf_exponent": -1.0}])
def test_keys_that_cannot_be_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"normal|-1"):
        key_space(Job("put", LOAD, options))


def test_a_job_comes_back_from_the_wire() -> None:
    job = Job("put", LOAD, {"key_prefix": b"bench/", "reads": {"limit": 3}}, share=1, shares=2, seed=9)
    assert Job.from_wire(unpack(pack(job.to_wire()))) == job


@pytest.mark.parametrize(("load", "processes", "named"), [(LOAD, 6, "6 clients"), (Load((), 5, total=2), 3, "3 reque")])
def test_a_load_that_is_too_small_for_its_processes_is_refused(load: Load, processes: int, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Job("put", load).for_share(0, processes)


def test_an_unknown_workload_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"'pot', but .*connect-storm, .*mixed, .*put, range, .*txn"):
        find_workload("pot")
