"""What is fetched or built before a client can run: once, under ``build/``, by the test process that comes first."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
KITCHEN = ROOT / "build" / "clients_etcd"
STEP_S = 240.0
"""For one fetch or build; the others wait for it."""


def prepared(name: str, recipe: str, prepare: Callable[[Path], None]) -> Path:
    """A directory that ``prepare`` has filled; kept until ``recipe``, which says what is in it, changes.

    Raises:
        AssertionError: a step of it failed; carries the step's words.
    """
    KITCHEN.mkdir(parents=True, exist_ok=True)
    directory, stamp = KITCHEN / name, KITCHEN / f"{name}.recipe"
    with (KITCHEN / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != recipe:
            stamp.unlink(missing_ok=True)
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir()
            prepare(directory)
            stamp.write_text(recipe)
    return directory


def step(command: Sequence[str], directory: Path) -> None:
    """Runs one command there.

    Raises:
        AssertionError: it failed.
    """
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=STEP_S, check=False)
    assert done.returncode == 0, f"{' '.join(command)} failed: {done.stderr[-2000:]}"
