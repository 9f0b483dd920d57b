"""``oarlock bench``: mixed, txn, connect-storm and large-values, each as its command."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner

from oarlock.loadgen import commands
from oarlock.loadgen.own_server import OwnServer
from tests.loadgen.load_server import LoadServer


def figures(endpoint: str, *arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(commands.bench, [*arguments, "--endpoints", endpoint, "-w", "json"])
    assert result.exit_code == 0, result.output
    data: dict[str, Any] = json.loads(result.stdout)
    return data


def test_mixed_has_its_share_of_reads(server: LoadServer) -> None:
    data = figures(server.endpoint, "mixed", "--total", "400", "--in-flight", "20", "--read-share", "0.75")
    reads, puts = (data["series"][kind]["requests"] for kind in ("range", "put"))
    assert (reads + puts, server.requests, data["errors"]) == (400, 400, {})
    assert reads == pytest.approx(300, abs=40)
    assert data["series"]["put"]["latency_ms"]["p50"] > 0


def test_mixed_keeps_to_the_same_order_from_the_same_seed(server: LoadServer) -> None:
    arguments = ("mixed", "--total", "100", "--distribution", "zipf", "--key-space-size", "50")
    one, same, other = (figures(server.endpoint, *arguments, "--seed", seed)["series"] for seed in ("7", "7", "8"))
    assert one["put"]["requests"] == same["put"]["requests"]
    assert {"put", "range"} == set(other)


@pytest.mark.parametrize("share", ["1.5", "-0.1"])
def test_a_share_of_reads_that_is_none_is_refused(server: LoadServer, share: str) -> None:
    result = CliRunner().invoke(commands.bench, ["mixed", "--read-share", share, "--endpoints", server.endpoint])
    assert result.exit_code == 2
    assert f"not {share}" in result.output


def test_a_timeline_tells_all_requests(server: LoadServer) -> None:
    data = figures(server.endpoint, "put", "--duration", "0.3", "--rate", "500", "--in-flight", "20")
    assert sum(row["requests"] for row in data["timeline"]) == data["requests"] == server.requests


def test_swaps_contend_and_every_one_succeeds(real_server: OwnServer) -> None:
    data = figures(real_server.endpoint, "txn", "--keys", "2", "--in-flight", "8", "--total", "60", "--timeout", "60")
    counts = data["counts"]
    assert (data["requests"], data["errors"], counts["successes"]) == (60, {}, 60)
    assert counts["failures"] == counts["retries"] > 0


def test_a_swap_that_may_not_try_again_gives_up(real_server: OwnServer) -> None:
    arguments = ("--keys", "1", "--max-tries", "1", "--in-flight", "8", "--total", "40", "--timeout", "60")
    data = figures(real_server.endpoint, "txn", *arguments)
    lost = data["errors"]["ContentionError"]
    assert (data["counts"]["successes"] + lost, data["counts"]["failures"], data["counts"]["retries"]) == (40, lost, 0)


def test_a_storm_of_connections_is_greeted(server: LoadServer) -> None:
    arguments = ("connect-storm", "--rate", "200", "--total", "40", "--hold", "30", "--timeout", "60")
    data = figures(server.endpoint, *arguments)
    assert (data["requests"], data["errors"], data["counts"]) == (40, {}, {"most_open": 40})
    assert data["latency_ms"]["min"] > 0


def test_connections_that_nobody_greets_are_failures() -> None:
    data = figures("127.0.0.1:1", "connect-storm", "--total", "3", "--timeout", "0.1")
    assert (data["errors"], data["latency_ms"]["max"]) == ({"ConnectionFailedError": 3}, 0)


def test_values_of_every_size_are_put_and_read(server: LoadServer) -> None:
    sizes = ("--value-size", "16", "--value-size", "100000", "--total", "20")
    data = figures(server.endpoint, "large-values", *sizes, "--key-space-size", "5")
    assert [each["value_size_bytes"] for each in data["sizes"]] == [16, 100_000]
    for each in data["sizes"]:
        assert (each["put"]["requests"], each["range"]["requests"]) == (20, 20)
        assert each["put"]["mib_per_second"] > 0
    assert server.requests == 80


def test_sizes_stand_side_by_side_in_the_table(server: LoadServer) -> None:
    arguments = ["large-values", "--endpoints", server.endpoint, "--total", "2", "--value-size", "4096"]
    result = CliRunner().invoke(commands.bench, arguments)
    assert [line for line in result.stdout.splitlines() if "4,096" in line and "range" in line]


def test_a_terminal_shows_how_far_it_is(server: LoadServer) -> None:
    arguments = ["put", "--endpoints", server.endpoint, "--duration", "0.6", "--in-flight", "5"]
    result = CliRunner(env={"FORCE_COLOR": "1", "COLUMNS": "120"}).invoke(commands.bench, arguments)
    assert result.exit_code == 0
    assert "a second" in result.stderr
    assert "oarlock bench put" in result.stdout
