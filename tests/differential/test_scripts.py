"""The same script of etcdctl commands, against etcd and against Oarlock: the same text, errors and exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.differential.pair import Pair
from tests.differential.printed import alike
from tests.differential.script import Session, parsed

SCRIPTS = sorted((Path(__file__).parent / "scripts").glob("*.etcdctl"))
COMMANDS_AT_LEAST = 200


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_prints_the_same(pair: Pair, script: Path, tmp_path: Path) -> None:
    revision = pair.begin()
    sessions = [Session(side, revision, _new(tmp_path / side.name)) for side in pair.sides]
    differences = []
    for line in parsed(script.read_text()):
        for output_format in line.formats:
            ended = [session.run(line, output_format) for session in sessions]
            expected, got = (
                alike(each, line.command, output_format, session.ids)
                for each, session in zip(ended, sessions, strict=True)
            )
            if got != expected:
                where = f"{script.name}:{line.number} -w {output_format} {line.command}"
                differences.append(f"{where}\n  etcd:    {expected}\n  oarlock: {got}")
    assert not differences, "\n" + "\n".join(differences)


def test_the_scripts_are_many_commands() -> None:
    commands = {line.command for script in SCRIPTS for line in parsed(script.read_text())}
    assert len(commands) >= COMMANDS_AT_LEAST


def _new(directory: Path) -> Path:
    directory.mkdir()
    return directory
