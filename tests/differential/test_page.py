"""docs/etcd-compatibility.md leaves nothing out, and names nothing that is not there."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from oarlock.gateway.proto import reflection_pb2
from oarlock.host.etcd_flag_table import FLAGS
from tests.differential.calls import METHODS
from tests.differential.script import etcdctl, parsed
from tests.differential.test_scripts import SCRIPTS

PAGE = Path(__file__).parents[2] / "docs/etcd-compatibility.md"
STATES = {"works", "differs", "absent", "ignored", "refused"}


def rows(heading: str) -> list[list[str]]:
    """The rows of the table under a heading, as their cells."""
    section = PAGE.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


def named(heading: str, names: int = 0, state: int = 1) -> dict[str, str]:
    """What a table says of each name; the columns are given by their numbers."""
    found: dict[str, str] = {}
    for row in rows(heading):
        assert row[state] in STATES, row
        for name in re.findall(r"`([^`]+)`", row[names]):
            assert name not in found, f"{name} twice"
            found[name] = row[state]
    return found


def test_every_call_is_in_the_table() -> None:
    service = reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"]
    reflection = {f"{service.name}/{method.name}" for method in service.methods}
    assert set(named("Calls")) == set(METHODS) | reflection


def test_every_flag_is_in_the_table_as_the_launcher_takes_it() -> None:
    expected = {
        name: "works" if flag.setting else "refused" if flag.refusal else "ignored" for name, flag in FLAGS.items()
    }
    assert named("Flags of the server", names=2) == expected


def test_every_command_of_etcdctl_is_in_the_table() -> None:
    text = subprocess.run([etcdctl(), "help"], capture_output=True, text=True, check=True).stdout
    listed = text.split("COMMANDS:\n")[1].split("\n\n")[0]
    assert set(named("etcdctl")) == set(re.findall(r"^\t([a-z -]+?)\t", listed, flags=re.MULTILINE))


def test_every_command_that_works_is_run_by_a_script_or_a_live_test() -> None:
    live = (Path(__file__).parent / "test_live_etcdctl.py").read_text()
    run = [line.command for script in SCRIPTS for line in parsed(script.read_text())]
    beyond = {"check perf", "check datascale", "help"}  # they take minutes, or ask nobody
    for name, state in named("etcdctl").items():
        if state in ("works", "differs") and name not in beyond:
            assert f'"{name} ' in live or any(f"{command} ".startswith(f"{name} ") for command in run), name
