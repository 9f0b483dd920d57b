"""What is fetched or built before a client can run: once, under ``build/``, by the test process that comes first."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from oarlock.loadgen.etcd_client import SOURCE

ROOT = Path(__file__).parents[2]
KITCHEN = ROOT / "build" / "clients_etcd"
GO, NODE, NPM = shutil.which("go"), shutil.which("node"), shutil.which("npm")
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


def go_program(name: str, source: str) -> Path:
    """A Go program, built with the modules of the load generator's: they are fetched and compiled once for all.

    Raises:
        AssertionError: it does not build; says why.
    """
    modules = [SOURCE / "go.mod", SOURCE / "go.sum"]

    def build(directory: Path) -> None:
        for part in modules:
            shutil.copy(part, directory)
        (directory / "main.go").write_text(source)
        step([str(GO), "build", "-mod=mod", "-buildvcs=false", "-o", "client", "."], directory)

    return prepared(name, "".join(part.read_text() for part in modules) + source, build) / "client"


def node_modules() -> Path:
    """Where Node finds the packages of ``programs/package.json``.

    Raises:
        AssertionError: they cannot be installed; says why.
    """
    package = Path(__file__).parent / "programs" / "package.json"

    def install(directory: Path) -> None:
        shutil.copy(package, directory)
        step([str(NPM), "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"], directory)

    return prepared("node", package.read_text(), install) / "node_modules"


needs_go = pytest.mark.skipif(GO is None, reason="Go is not installed")
needs_node = pytest.mark.skipif(NODE is None or NPM is None, reason="Node is not installed")
