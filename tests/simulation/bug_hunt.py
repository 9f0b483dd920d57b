"""Looks for a planted bug, and prints its seed: ``python -m tests.interpreted tests.simulation.bug_hunt BUG SEED``."""

from __future__ import annotations

import sys

from .bugs import BUGS
from .cluster import simulate
from .test_simulation import CI_SEEDS


def found_by(name: str, first: int) -> int | None:
    """The seed whose run fails with the bug; ``first`` is tried first, then all that run with every change."""
    with BUGS[name]():
        for seed in [first, *range(first, CI_SEEDS), *range(min(first, CI_SEEDS))]:
            try:
                simulate(seed)
            except Exception:
                return seed
    return None


if __name__ == "__main__":
    seed = found_by(sys.argv[1], int(sys.argv[2]))
    if seed is None:
        sys.exit(f"not found by seeds 0 to {CI_SEEDS - 1}")
    simulate(seed)  # by the bug and nothing else
    print(seed)
