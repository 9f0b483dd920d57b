"""What a process asks of the scheduler, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import os, threading
from pathlib import Path
from oarlock.wire.scheduling import take_short_turns

def slice_ns():
    try:
        lines = Path(f"/proc/self/task/{threading.get_native_id()}/sched").read_text().splitlines()
    except OSError:
        return "?"
    found = [line.split(":")[1].strip() for line in lines if line.startswith("se.slice")]
    return found[0] if found else "?"

{prepare}
granted = take_short_turns()
seen = []
thread = threading.Thread(target=lambda: seen.append(slice_ns()))
thread.start()
thread.join()
print(granted, os.sched_getscheduler(0), os.nice(0), slice_ns(), *seen)
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux's scheduler")


def run(prepare: str) -> list[str]:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("{prepare}", prepare)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return ran.stdout.split()


def test_nothing_else_changes_and_threads_have_it_too() -> None:
    granted, policy, nice, own, of_thread = run("os.nice(5)")
    assert (granted, policy, nice) == ("True", "0", str(min(os.nice(0) + 5, 19)))  # also where the tests are nice
    assert own == of_thread


def test_who_runs_under_another_policy_is_left_alone() -> None:
    granted, policy, *_ = run("os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))")
    assert (granted, policy) == ("False", "5")
