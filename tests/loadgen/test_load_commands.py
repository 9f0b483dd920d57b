"""``oarlock bench`` over the wire, against the smallest server there can be."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from oarlock.loadgen import commands
from tests.loadgen.load_server import LoadServer


def bench(server: LoadServer, *arguments: str) -> Result:
    return CliRunner().invoke(commands.bench, [arguments[0], "--endpoints", server.endpoint, *arguments[1:]])


def figures(server: LoadServer, *arguments: str) -> dict[str, Any]:
    result = bench(server, *arguments, "-w", "json")
    assert result.exit_code == 0, result.output
    data: dict[str, Any] = json.loads(result.stdout)
    return data


def test_puts_are_sent_and_measured(server: LoadServer) -> None:
    data = figures(server, "put", "--clients", "2", "--in-flight", "10", "--total", "500", "--key-space-size", "50")
    assert (data["requests"], data["errors"], server.requests) == (500, {}, 500)
    assert data["latency_ms"]["max"] >= data["latency_ms"]["p50"] > 0


def test_a_duration_ends_the_load(server: LoadServer) -> None:
    data = figures(server, "put", "--in-flight", "3", "--duration", "0.1")
    assert data["requests"] == server.requests > 0


def test_a_rate_is_kept(server: LoadServer) -> None:
    data = figures(server, "put", "--in-flight", "50", "--total", "20", "--rate", "400")
    assert (data["requests"], data["seconds"] >= 19 / 400) == (20, True)


@pytest.mark.parametrize("consistency", ["l", "s"])
def test_reads_fill_the_key_space_first_where_asked_to(server: LoadServer, consistency: str) -> None:
    data = figures(
        server, "range", "--fill", "--consistency", consistency, "--total", "30", "--key-space-size", "20", "--random"
    )
    assert (data["requests"], server.requests, data["settings"]["serializable"]) == (30, 50, consistency == "s")


def test_reads_of_a_prefix(server: LoadServer) -> None:
    data = figures(server, "range", "bench/", "--prefix", "--limit", "5", "--count-only", "--total", "3")
    assert (data["settings"]["range_end"], data["settings"]["limit"]) == ("bench0", 5)


def test_the_table_is_the_default(server: LoadServer) -> None:
    result = bench(server, "put", "--total", "5")
    assert "latency ms p99.9" in result.stdout


def test_errors_of_the_server_are_counted_by_kind(server: LoadServer) -> None:
    data = figures(server, "put", "--total", "7", "--key-prefix", "full/")
    assert (data["errors"], data["latency_ms"]["max"]) == ({"NoSpaceError": 7}, 0)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["put", "--in-flight", "0"], "not 0"),
        (["put", "--clients", "0"], "clients must be"),
        (["put", "--duration", "-1"], "not -1"),
        (["put", "--key-size", "5"], "not 5"),
        (["put", "--rate", "-2"], "not -2"),
        (["watch-storm", "--value-size", "4"], "not 4"),
        (["watch-storm", "--watchers", "0"], "not 0"),
        (["range", "a", "b", "--prefix"], "exclude each other"),
    ],
)
def test_a_load_that_cannot_be_is_refused_in_one_line(server: LoadServer, arguments: list[str], named: str) -> None:
    result = bench(server, *arguments)
    assert result.exit_code != 0
    assert named in result.output
    assert "Traceback" not in result.output


def test_a_server_that_is_not_there_is_one_line() -> None:
    result = CliRunner().invoke(commands.bench, ["put", "--endpoints", "127.0.0.1:1", "--timeout", "0.1"])
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
