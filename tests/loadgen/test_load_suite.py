"""The suite's parts that need no server: how it writes its figures, and the program that keeps watches open."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from oarlock.loadgen.figures import document, markdown, save
from oarlock.loadgen.machine import describe
from oarlock.loadgen.measurements import Row
from tests.loadgen.load_server import LoadServer

ROWS = [Row("puts", 31234.5, "requests/s", ">= 30,000", {"errors": {}}), Row("put, median", 0.41234, "ms")]


def test_the_table_has_every_figure_and_the_machine() -> None:
    table = markdown(document("single", {"cores": 2, "versions": {"lmdb": "3.0"}}, ROWS))
    assert "| puts | 31,234 requests/s | >= 30,000 |" in table
    assert "| put, median | 0.412 ms |  |" in table
    assert "- cores: 2\n- versions: lmdb 3.0\n" in table


def test_the_json_has_the_details(tmp_path: Path) -> None:
    text = save(document("single", {"cores": 2}, ROWS), tmp_path / "new" / "figures")
    assert (tmp_path / "new" / "figures.md").read_text() == text
    data = json.loads((tmp_path / "new" / "figures.json").read_text())
    assert data["suite"] == "single"
    assert data["machine"] == {"cores": 2}
    assert data["measurements"][0] == {
        "name": "puts",
        "value": 31234.5,
        "unit": "requests/s",
        "target": ">= 30,000",
        "errors": {},
    }


def test_the_machine_is_described(tmp_path: Path) -> None:
    machine = describe(tmp_path)
    assert machine["cores"] >= 1
    assert machine["fdatasync_ms"] >= 0
    assert machine["file_system"] != "unknown"
    assert 0 <= machine["busy_before_percent"] <= 100
    assert list(tmp_path.iterdir()) == []


def test_parked_watches_begin_and_end_with_standard_input(server: LoadServer) -> None:
    command = [sys.executable, "-m", "oarlock.loadgen.parked", server.watch_url, "3000"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"3000\n"
        process.stdin.close()
        assert process.wait(timeout=20) == 0
    assert server.watches == 3000


def test_the_probe_tells_its_longest_wait(server: LoadServer) -> None:
    command = [sys.executable, "-m", "oarlock.loadgen.probe", server.endpoint, "500"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.stdin.close()
        assert float(process.stdout.readline()) > 0
        assert process.wait(timeout=20) == 0
