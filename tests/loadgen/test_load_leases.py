"""Leases that end early, late or never are told from those that do as they should; the storm, on a real server."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from oarlock.loadgen import commands
from oarlock.loadgen.lease_expiries import GRACE_S, LeaseExpiries
from oarlock.loadgen.own_server import OwnServer

TTL_S = 10


class Leases:
    """Two leases, renewed at 0 s, and a clock."""

    def __init__(self, answer: int | None = TTL_S) -> None:
        self.now_s = 0.0
        self.expiries = LeaseExpiries(TTL_S, lambda: int(self.now_s * 1e9))
        for number in (1, 2):
            self.expiries.renewing(number)
        self.now_s = 0.25
        for number in (1, 2):
            self.expiries.renewed(number, answer)

    def gone(self, at_s: float, number: int) -> None:
        self.now_s = at_s
        self.expiries.gone(number)

    def counts(self) -> dict[str, int]:
        return {name: count for name, count in self.expiries.counts().items() if count}


def test_lateness_counts_from_the_sending_of_the_renewal() -> None:
    leases = Leases()
    leases.gone(10.5, 1)
    leases.gone(11.0, 2)
    assert leases.counts() == {"expired": 2}
    latencies = leases.expiries.series.latencies
    assert (latencies.lowest_ns, latencies.highest_ns) == (5e8, 1e9)
    assert (leases.expiries.seconds, leases.expiries.wait_s) == (1.0, None)


def test_a_lease_that_ends_before_its_time_is_early() -> None:
    leases = Leases()
    leases.gone(9.99, 1)
    leases.gone(10.0, 2)
    assert leases.counts() == {"early": 1, "expired": 1}


def test_a_lease_that_does_not_end_is_waited_for_and_then_missing() -> None:
    leases = Leases()
    leases.gone(10.0, 1)
    assert leases.expiries.wait_s == GRACE_S
    leases.now_s = TTL_S + GRACE_S
    assert leases.expiries.wait_s is None
    assert leases.counts() == {"expired": 1, "missing": 1}


def test_a_lease_that_had_ended_before_its_last_renewal_is_lost_and_not_early() -> None:
    leases = Leases(answer=0)
    leases.gone(0.3, 1)
    assert leases.counts() == {"lost": 2}


def test_a_renewal_that_failed_says_nothing_about_the_end() -> None:
    leases = Leases(answer=None)
    leases.gone(3.0, 1)
    assert (leases.counts(), leases.expiries.wait_s) == ({}, None)


@pytest.mark.slow
def test_leases_are_granted_kept_alive_and_end_in_time(real_server: OwnServer) -> None:
    arguments = ["lease-storm", "--endpoints", real_server.endpoint, "--leases", "50", "--ttl", "3"]
    arguments += ["--processes", "2", "--total", "100", "--timeout", "60", "-w", "json"]
    result = CliRunner().invoke(commands.bench, arguments)
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert [data["phases"][name]["requests"] for name in ("grant", "keepalive")] == [50, 100]
    assert sum(row["requests"] for row in data["timeline"]) == 150 + data["leases"]["expired"]
    assert data["leases"]["expired"] + data["leases"]["lost"] == 50  # lost where this machine is very slow
    assert (data["leases"]["early"], data["leases"]["missing"]) == (0, 0)


def test_leases_fewer_than_processes_are_refused(real_server: OwnServer) -> None:
    arguments = ["lease-storm", "--endpoints", real_server.endpoint, "--leases", "0"]
    result = CliRunner().invoke(commands.bench, arguments)
    assert result.exit_code == 2
    assert "not 0" in result.output


def test_the_table_has_a_row_for_each_phase(real_server: OwnServer) -> None:
    arguments = ["lease-storm", "--endpoints", real_server.endpoint, "--leases", "5", "--ttl", "2", "--timeout", "60"]
    result = CliRunner().invoke(commands.bench, arguments)
    for phase in ("grant", "keepalive", "expiry"):
        assert any(line.strip().startswith(phase) for line in result.stdout.splitlines())
