"""Runs every file in ``scenarios/``; see ``script.py`` for the form of the files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .script import Script

SCENARIOS = Path(__file__).parent / "scenarios"


def replay(text: str) -> str:
    """The same scenario with the output that comes now."""
    script = Script()
    blocks = []
    for block in text.strip("\n").split("\n\n"):
        head = block.split("\n----", 1)[0].split("\n")
        commands = [line for line in head if line and not line.startswith("#")]
        output = [line for command in commands for line in script.run(command)]
        blocks.append("\n".join([*head, "----", *(output or ["ok"])] if commands else head))
    return "\n\n".join(blocks) + "\n"


@pytest.mark.parametrize("path", sorted(SCENARIOS.glob("*.txt")), ids=lambda path: path.stem)
def test_scenario(path: Path) -> None:
    expected = path.read_text()
    found = replay(expected)
    if os.environ.get("RAFT_REWRITE") == "1":
        path.write_text(found)
    else:
        assert found == expected
