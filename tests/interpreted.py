"""Runs a module of the tests on our sources even where they are compiled: ``python -m tests.interpreted MODULE ...``.

What is compiled calls its own functions directly, so that nothing can be put in their place. Both forms are the same
sources; a test that plants bugs in them needs the one that can be changed.
"""

from __future__ import annotations

import runpy
import subprocess
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, ModuleSpec, SourceFileLoader
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]


class Sources(MetaPathFinder):
    """Finds our modules' sources before anybody finds what was compiled of them."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if not name.startswith("oarlock."):
            return None
        finders = (FileFinder(folder, (SourceFileLoader, SOURCE_SUFFIXES)) for folder in path or ())
        return next((spec for finder in finders if (spec := finder.find_spec(name)) is not None), None)


def run_interpreted(module: str, *arguments: str, timeout_s: float) -> str:
    """Runs ``module`` in a process of its own; what it printed. Raises CalledProcessError if it fails."""
    command = (sys.executable, "-m", "tests.interpreted", module, *arguments)
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, timeout=timeout_s, check=True, text=True).stdout


if __name__ == "__main__":
    sys.meta_path.insert(0, Sources())
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
