"""What the client programs share: they run their scenarios one after another, and report each on a line of its own.

A program runs in a process of its own, because two clients that each bring etcd's messages cannot be in one protobuf
pool. It talks to the test over its pipes, one JSON object a line: ``{"passed": name}``, ``{"failed": name, "why": …}``,
and ``{"wants": "restart"}``, which the test answers with a line once clients have lost their connections and the
server is back.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections.abc import Callable

PATIENCE_S = 120.0
"""For what happens in another process, on a busy machine: gRPC waits longer after each failed connection."""
LOOK_S = 0.1


def run(*scenarios: Callable[[], None]) -> None:
    """Runs each and reports it; a failure does not keep the next from running."""
    for scenario in scenarios:
        try:
            scenario()
        except Exception:
            tell(failed=scenario.__name__, why=traceback.format_exc())
        else:
            tell(passed=scenario.__name__)


def restart_server() -> None:
    """Asks the test to restart what serves clients; returns when it is back."""
    tell(wants="restart")
    assert sys.stdin.readline(), "the test is gone"


def eventually(condition: Callable[[], bool]) -> None:
    """Waits until it holds.

    Raises:
        AssertionError: it did not within ``PATIENCE_S``.
    """
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s, "it did not come true"
        time.sleep(LOOK_S)


def tell(**message: str) -> None:
    """One line for the test."""
    print(json.dumps(message), flush=True)
