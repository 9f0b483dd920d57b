"""What the captain makes of what its processes say: no process, no socket, no clock."""

from __future__ import annotations

from typing import Any

import pytest

from oarlock.loadgen.job import Job
from oarlock.loadgen.muster import REFUSED, SILENCE_S, CrewError, Muster
from oarlock.loadgen.outcome import Outcome, Series
from oarlock.loadgen.runner import Load


@pytest.fixture
def muster() -> Muster:
    job = Job("put", Load(clients=2, total=10))
    return Muster([job.for_share(share, 2) for share in range(2)], now_s=100.0)


def outcome(sent: int) -> list[Any]:
    return ["outcome", Outcome(1.0, series={"put": Series(sent=sent)}).to_wire()]


def test_each_process_gets_its_own_job(muster: Muster) -> None:
    [(share, (kind, job))] = muster.hear(1, ["hello"], 100.1)
    assert (share, kind, Job.from_wire(job).share) == (1, "job", 1)


def test_all_start_when_the_last_is_ready(muster: Muster) -> None:
    assert muster.hear(1, ["ready"], 100.1) == []
    assert muster.hear(0, ["ready"], 100.2) == [(0, ["start"]), (1, ["start"])]


def test_progress_is_that_of_all(muster: Muster) -> None:
    muster.hear(0, ["progress", 10, 1.5], 101)
    muster.hear(1, ["progress", 5, 1.25], 101)
    assert muster.progress == (15, 1.5)


def test_the_outcome_is_there_when_all_are_in(muster: Muster) -> None:
    muster.hear(1, outcome(3), 101)
    assert muster.outcome is None
    muster.hear(0, outcome(4), 101)
    assert muster.outcome is not None
    assert muster.outcome.series["put"].sent == 7


def test_a_process_may_end_after_its_outcome_and_not_before(muster: Muster) -> None:
    muster.hear(0, outcome(3), 101)
    muster.ended(0, 0)
    with pytest.raises(CrewError, match=r"process 1 .*exit code -9"):
        muster.ended(1, -9)


def test_a_silent_process_is_given_up_unless_it_is_done(muster: Muster) -> None:
    muster.hear(0, outcome(3), 100)
    muster.hear(1, ["progress", 0, 0.0], 110)
    muster.check(110 + SILENCE_S)
    with pytest.raises(CrewError, match=r"process 1 .* said nothing"):
        muster.check(111 + SILENCE_S)


def test_a_failure_is_that_of_the_whole_load(muster: Muster) -> None:
    with pytest.raises(CrewError, match="no server"):
        muster.hear(0, ["failed", "ConnectionFailedError", "no server"], 101)
    with pytest.raises(ValueError, match="not 0"):
        muster.hear(1, ["failed", REFUSED, "not 0"], 101)


@pytest.mark.parametrize("message", [[], ["progress", "many", 1.0], ["outcome", 7], ["sing"]])
def test_what_no_process_says_is_an_error(muster: Muster, message: list[Any]) -> None:
    with pytest.raises(CrewError, match="process 0"):
        muster.hear(0, message, 101)


def test_stop_goes_to_all(muster: Muster) -> None:
    assert muster.stop() == [(0, ["stop"]), (1, ["stop"])]
