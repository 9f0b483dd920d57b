"""``oarlock bench watch-storm`` and ``watch-latency``, on a real server and on one that loses events."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from oarlock.loadgen import commands, watch_storm
from oarlock.loadgen.local_server import server_processes
from oarlock.loadgen.own_server import OwnServer, free_ports
from tests.loadgen.load_server import LoadServer


def bench(endpoint: str, *arguments: str) -> Result:
    return CliRunner().invoke(commands.bench, [*arguments, "--endpoints", endpoint, "--timeout", "60", "-w", "json"])


def figures(endpoint: str, *arguments: str) -> dict[str, Any]:
    result = bench(endpoint, *arguments)
    assert result.exit_code == 0, result.output
    data: dict[str, Any] = json.loads(result.stdout)
    return data


WHOLE = {"missing": 0, "disordered": 0, "unexpected": 0, "lost_watches": 0}


def test_every_watcher_gets_every_write(real_server: OwnServer) -> None:
    arguments = ("--watchers", "12", "--clients", "2", "--keys", "4", "--total", "40", "--key-prefix", "storm/")
    data = figures(real_server.endpoint, "watch-storm", *arguments)
    assert data["completeness"] == {"expected": 120, "delivered": 120, **WHOLE}
    assert (data["requests"], data["deliveries"], data["errors"]) == (40, 120, {})
    assert sum(row["requests"] for row in data["timeline"]) == 120
    assert data["server_cpu_us_a_delivery"] >= 0


def test_watchers_get_what_other_processes_write(real_server: OwnServer) -> None:
    arguments = ("--watchers", "5", "--processes", "2", "--total", "30", "--key-prefix", "storm/two/")
    data = figures(real_server.endpoint, "watch-storm", *arguments)
    assert data["completeness"] == {"expected": 150, "delivered": 150, **WHOLE}


def test_an_event_that_does_not_come_is_told(server: LoadServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_storm, "DRAIN_S", 0.5)
    server.skip_revisions = {11}
    result = bench(server.endpoint, "watch-storm", "--watchers", "3", "--total", "20")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["completeness"] == {"expected": 60, "delivered": 57, **WHOLE, "missing": 3}


def test_the_latency_of_an_event_is_measured_at_a_rate(real_server: OwnServer) -> None:
    arguments = ("--rate", "200", "--total", "20", "--key-prefix", "latency/")
    data = figures(real_server.endpoint, "watch-latency", *arguments)
    assert (data["deliveries"], data["settings"]["rate_limit"], data["seconds"] >= 19 / 200) == (20, 200.0, True)
    assert data["delivery_latency_ms"]["max"] >= data["delivery_latency_ms"]["p50"] > 0


def test_the_processes_of_a_server_are_found_by_its_endpoint(real_server: OwnServer) -> None:
    found = {process.pid for process in server_processes([real_server.endpoint])}
    assert real_server.process.pid in found
    assert len(found) == real_server.usage().processes


def test_where_nobody_listens_there_are_no_processes() -> None:
    assert server_processes([f"127.0.0.1:{free_ports(1)[0]}", "192.0.2.1:2378", "nothing"]) == []
