"""The unit files: valid, and true to what the supervisor does."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from oarlock.host import supervisor
from oarlock.host.settings import SETTINGS
from oarlock.wire.process import EXIT_FATAL

UNITS = sorted((Path(__file__).parents[2] / "systemd").glob("*.service"))
unit = pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)


def values(path: Path, key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", path.read_text(), flags=re.MULTILINE)


def test_there_is_a_unit_and_a_template() -> None:
    assert [path.name for path in UNITS] == ["oarlock.service", "oarlock@.service"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@unit
def test_systemd_accepts_the_unit(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / path.name.replace("@", "@m1")  # an instance, so that its specifiers are resolved
    shutil.copy(path, copy)
    result = subprocess.run(["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, check=False)
    complaints = [line for line in result.stderr.splitlines() if path.stem.rstrip("@") in line]
    assert (result.returncode, complaints) == (0, [])


@unit
def test_the_unit_waits_for_readiness_and_pings(path: Path) -> None:
    assert values(path, "Type") == ["notify"]
    assert values(path, "WatchdogSec") == ["60s"]
    assert values(path, "Restart") == ["always"]
    assert values(path, "StateDirectory")


@unit
def test_a_fatal_exit_is_not_tried_again(path: Path) -> None:
    assert values(path, "RestartPreventExitStatus") == [str(EXIT_FATAL)]


@unit
def test_systemd_waits_longer_than_the_supervisor(path: Path) -> None:
    patience_s = int(values(path, "TimeoutStopSec")[0].removesuffix("s"))
    assert patience_s > supervisor.WORKER_DRAIN_S + supervisor.COORDINATOR_DRAIN_S


@unit
def test_flags_and_variables_exist(path: Path) -> None:
    text = path.read_text()
    flags = set(re.findall(r" --([a-z-]+) ", values(path, "ExecStart")[0]))
    assert flags
    assert flags <= {setting.flag for setting in SETTINGS}
    assert set(re.findall(r"OARLOCK_[A-Z_]+[A-Z]", text)) <= {setting.variable for setting in SETTINGS}
