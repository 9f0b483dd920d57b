"""The restart policy, without processes or a clock."""

from __future__ import annotations

import signal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oarlock.host.restarts import FIRST_DELAY_S, FLAPPING_DEATHS, MOST_DELAY_S, STABLE_S, Exit, RestartPolicy
from oarlock.wire.process import EXIT_FATAL, EXIT_REBUILD

KILLED = Exit(-signal.SIGKILL)


def deaths_at_once(policy: RestartPolicy, number: int, now_s: float = 0.0) -> list[float]:
    delays = []
    for _ in range(number):
        policy.started(now_s)
        delays.append(policy.died(now_s, KILLED).delay_s)
    return delays


def test_the_delay_doubles_up_to_a_cap() -> None:
    delays = deaths_at_once(RestartPolicy(), 40)
    assert delays[:4] == pytest.approx([0.1, 0.2, 0.4, 0.8])
    assert delays[-1] == MOST_DELAY_S


def test_a_stable_run_forgets_what_was_before() -> None:
    policy = RestartPolicy()
    deaths_at_once(policy, 10)
    policy.started(0.0)
    assert policy.died(STABLE_S, KILLED).delay_s == FIRST_DELAY_S
    assert not policy.flapping


def test_flapping_is_reported_once() -> None:
    policy = RestartPolicy()
    reported = []
    for _ in range(10):
        policy.started(0.0)
        reported.append(policy.died(1.0, KILLED).flapping)
    assert reported.index(True) == FLAPPING_DEATHS - 1
    assert reported.count(True) == 1
    assert policy.flapping


@pytest.mark.parametrize("code", [EXIT_REBUILD, -signal.SIGBUS, -signal.SIGSEGV, -signal.SIGABRT])
def test_death_on_the_memory_map_rebuilds_the_replica(code: int) -> None:
    assert RestartPolicy().died(0.0, Exit(code)).rebuild


@pytest.mark.parametrize("end", [KILLED, Exit(0), Exit(1), Exit(-signal.SIGABRT, hung=True)])
def test_other_deaths_keep_the_replica(end: Exit) -> None:
    assert not RestartPolicy().died(0.0, end).rebuild


def test_a_rebuild_stays_due_until_the_child_is_ready() -> None:
    policy = RestartPolicy()
    policy.died(0.0, Exit(EXIT_REBUILD))
    assert policy.died(0.0, KILLED).rebuild
    policy.became_ready()
    assert not policy.died(0.0, KILLED).rebuild


def test_only_the_fatal_code_is_fatal() -> None:
    assert [code for code in range(-64, 256) if Exit(code).fatal] == [EXIT_FATAL]


@pytest.mark.parametrize(
    ("end", "text"),
    [
        (KILLED, "killed by SIGKILL"),
        (Exit(3), "exit code 3"),
        (Exit(-6, hung=True), "it hung and was killed"),
        (Exit(-40), "killed by signal 40"),
    ],
)
def test_an_exit_reads_well(end: Exit, text: str) -> None:
    assert str(end) == text


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 100), st.sampled_from([0, 1, 75, -9, -7])), max_size=50))
def test_delays_stay_in_their_bounds(runs: list[tuple[float, int]]) -> None:
    policy, now_s = RestartPolicy(), 0.0
    for length_s, code in runs:
        policy.started(now_s)
        now_s += length_s
        assert FIRST_DELAY_S <= policy.died(now_s, Exit(code)).delay_s <= MOST_DELAY_S
