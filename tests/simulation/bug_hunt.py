"""Looks for a planted bug, and prints its seed: ``python -m tests.interpreted tests.simulation.bug_hunt BUG``."""

from __future__ import annotations

import sys

from .bugs import BUGS
from .cluster import simulate
from .profile import Course
from .test_simulation import CI_SEEDS, SLOW_FOLLOWER_SEEDS, STRANDED_LEADER_SEEDS

COURSES = {
    "asks_for_a_read_index_again_under_its_old_number": (Course.SLOW_FOLLOWER, SLOW_FOLLOWER_SEEDS),
    "keeps_leading_without_a_quorum": (Course.STRANDED_LEADER, STRANDED_LEADER_SEEDS),
}
"""The bugs that others than the ordinary runs find, with the number of those runs."""


def course_of(name: str) -> tuple[Course, int]:
    """The course whose runs look for the bug, and how many of them run with every change."""
    return COURSES.get(name, (Course.ANY, CI_SEEDS))


def found_by(name: str) -> int | None:
    """The first seed whose run fails with the bug, of those that run with every change."""
    course, seeds = course_of(name)
    with BUGS[name]():
        for seed in range(seeds):
            try:
                simulate(seed, course)
            except Exception:
                return seed
    return None


if __name__ == "__main__":
    (name,) = sys.argv[1:]
    seed = found_by(name)
    if seed is None:
        sys.exit("not found by any seed that runs with every change")
    simulate(seed, course_of(name)[0])  # by the bug and nothing else
    print(seed)
