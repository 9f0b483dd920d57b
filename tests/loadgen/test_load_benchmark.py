"""etcd's own load generator: what it is asked, and what its report says. A script stands in for the Go program."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from oarlock.loadgen import etcd_benchmark
from oarlock.loadgen.comparison import Sample, Task
from oarlock.loadgen.door_suite import TASKS, DoorSide, chosen
from oarlock.loadgen.etcd_benchmark import EtcdBenchmark, benchmark_version

REPORT = """
Summary:
  Requests/sec:	{rate}

Latency distribution:
  50% in 0.000104562 secs.
  95% in 0.000195475 secs.
  99% in 8.5509e-05 secs.
  99.9% in 0.00694986 secs.
"""
PUTS = Task("puts", 100, connections=10)


def stand_in(
    directory: Path, report: str, *, status: int = 0, authority: Path | None = None
) -> tuple[EtcdBenchmark, Path]:
    """A program that notes its arguments, a line a run, and prints ``report``."""
    program, asked = directory / "benchmark", directory / "asked"
    program.write_text(f"#!/bin/sh\necho \"$*\" >> {asked}\ncat <<'END'\n{report}\nEND\nexit {status}\n")
    program.chmod(0o755)
    return EtcdBenchmark(program, "127.0.0.1:1", authority), asked


def press(benchmark: EtcdBenchmark, task: Task) -> Sample:
    return asyncio.run(benchmark.press(task, 1000, 1.0))


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (PUTS, ["put", "--clients 100", "--conns 10", "--total 1000", "--val-size 256"]),
        (Task("", 1, is_put=False, connections=1), ["range p", "--clients 1", "--consistency l"]),
        (Task("", 1, is_put=False, serializable=True, connections=1), ["range p", "--consistency s"]),
        (Task("", 100, connections=10, puts_each=7), ["txn-put --txn-ops 7", "--clients 100", "--key-space-size"]),
        (Task("", 10, connections=10, watchers=900), ["watch", "--streams 900", "--put-total 1000", "--clients 10"]),
    ],
)
def test_a_task_is_put_in_the_words_of_the_program(tmp_path: Path, task: Task, words: list[str]) -> None:
    benchmark, asked = stand_in(tmp_path, REPORT.format(rate=10))
    press(benchmark, task)
    assert asked.read_text().startswith("--endpoints 127.0.0.1:1 ")
    assert [word for word in words if word not in asked.read_text()] == []


def test_over_tls_the_authority_is_told(tmp_path: Path) -> None:
    benchmark, asked = stand_in(tmp_path, REPORT.format(rate=10), authority=tmp_path / "ca.pem")
    press(benchmark, PUTS)
    assert asked.read_text().startswith(f"--endpoints 127.0.0.1:1 --cacert {tmp_path / 'ca.pem'} put ")


def test_rate_and_latencies_come_from_the_report(tmp_path: Path) -> None:
    sample = press(stand_in(tmp_path, REPORT.format(rate=7028.7))[0], PUTS)
    assert (sample.rate, sample.p50_ms, sample.p99_ms) == (7028.7, pytest.approx(0.104562), pytest.approx(0.085509))
    assert sample.generator_us > 0


def test_events_are_the_second_report_and_have_no_latencies(tmp_path: Path) -> None:
    benchmark, _ = stand_in(tmp_path, REPORT.format(rate=900) + REPORT.format(rate=1.5e6))
    sample = press(benchmark, Task("", 10, connections=10, watchers=900))
    assert (sample.rate, sample.p50_ms, sample.p99_ms) == (1_500_000, 0, 0)


@pytest.mark.parametrize(
    ("report", "status", "reason"),
    [
        (REPORT.format(rate=1) + "Error distribution:\n  [3]\tetcdserver: too many requests", 0, "too many requests"),
        ("dial error", 1, "failed"),
        ("", 0, "no figures"),
    ],
)
def test_a_load_that_failed_is_an_error(tmp_path: Path, report: str, status: int, reason: str) -> None:
    with pytest.raises(RuntimeError, match=reason):
        press(stand_in(tmp_path, report, status=status)[0], PUTS)


def test_a_load_that_does_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(etcd_benchmark, "MARGIN_S", 0.0)
    program = tmp_path / "benchmark"
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(0o755)
    with pytest.raises(RuntimeError, match="did not end"):
        asyncio.run(EtcdBenchmark(program, "127.0.0.1:1").press(PUTS, 1, 0.01))


def test_the_first_load_of_a_task_finds_out_how_many_requests_fill_the_time(tmp_path: Path) -> None:
    benchmark, asked = stand_in(tmp_path, REPORT.format(rate=5000))
    side = DoorSide(benchmark, lambda: 0.0)
    for _ in range(2):
        asyncio.run(side.press(PUTS, 2.0))
    assert [line.partition("--total ")[2].split()[0] for line in asked.read_text().splitlines()] == [
        *("1000", "10000", "10000"),
    ]


def test_words_choose_among_the_loads() -> None:
    assert len(chosen([])) == len(TASKS) == 25
    assert [task.name for task in chosen(["puts", "1 client on"])] == ["puts, 1 client on 1"]
    with pytest.raises(RuntimeError, match="no load"):
        chosen(["writes"])


def test_the_version_of_the_program_is_that_of_its_module() -> None:
    assert benchmark_version().startswith("v3.")
