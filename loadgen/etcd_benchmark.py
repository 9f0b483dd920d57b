"""etcd's own load generator, the Go program "benchmark": built, run against a gRPC front door, and its report read.

The module in the folder ``etcd_tool`` beside this one pins its version; nothing of it is copied here.
"""

from __future__ import annotations

import asyncio
import re
import resource
from pathlib import Path
from typing import Final

from oarlock.loadgen.comparison import Sample, Task
from oarlock.loadgen.etcd_client import MARGIN_S, build_go

SOURCE: Final = Path(__file__).parent / "etcd_tool"
PACKAGE: Final = "go.etcd.io/etcd/v3/tools/benchmark"
KEY_BYTES: Final = 32
KEYS: Final = 10_000
VALUE_BYTES: Final = 256
SLOWER: Final = 10
"""A load has a number of requests and not a duration: one that takes so many times as long as it should is ended."""
UNLIMITED: Final = 1_000_000
"""Puts a second that the tool's watch load may send; it takes 0 for none at all."""

READ_KEY: Final = "p"
"""What is read. The tool names keys by a number in a varint, so that of 64 keys in turn the 57th has this name."""
_FILL: Final = ("put", "--key-size", "1", "--key-space-size", "64", "--sequential-keys", "--total", "64")

_FIGURE: Final = r"\s+([0-9.e+-]+)"
_RATE: Final = re.compile(r"Requests/sec:" + _FIGURE)
_PERCENTILE: Final = r"\b{}% in" + _FIGURE


def build_benchmark(target: Path) -> Path:
    """The program, built to ``target`` unless that is there already. Needs Go, and its modules.

    Raises:
        RuntimeError: there is no Go, or it does not build.
    """
    return build_go(SOURCE, PACKAGE, target)


def benchmark_version() -> str:
    """The version of the module that has the program: "v3.5.11"."""
    found = re.search(r"go\.etcd\.io/etcd/v3 (\S+)", (SOURCE / "go.mod").read_text())
    assert found is not None
    return found[1]


class EtcdBenchmark:
    """The program, aimed at one endpoint.

    Args:
        program: see ``build_benchmark``.
        endpoint: host:port of a client port.
        authority: who signed its certificate; None where it speaks without TLS.
    """

    def __init__(self, program: Path, endpoint: str, authority: Path | None = None) -> None:
        self.endpoint = endpoint
        self._program = program
        self._server = ["--endpoints", endpoint]
        if authority is not None:
            self._server += ["--cacert", str(authority)]

    async def fill(self) -> None:
        """Puts the key that reads ask for. Raises RuntimeError where that fails."""
        await self._run([*_FILL, "--val-size", str(VALUE_BYTES)], MARGIN_S)

    async def press(self, task: Task, total: int, seconds: float) -> Sample:
        """Puts the load of ``task`` on the server.

        Args:
            task: with its connections.
            total: requests, or puts of the watched key.
            seconds: that this should take, about.

        Raises:
            RuntimeError: requests failed, or the load took ``SLOWER`` times as long.
        """
        connections = task.connections or 1
        common = ["--conns", str(connections), "--precise"]
        if task.watchers:
            arguments = ["watch", "--streams", str(task.watchers), "--watch-per-stream", "1", "--put-total", str(total)]
            arguments += ["--clients", str(connections), "--put-rate", str(UNLIMITED)]
        elif task.is_put:
            arguments = ["txn-put", "--txn-ops", str(task.puts_each)] if task.puts_each else ["put"]
            arguments += ["--clients", str(task.in_flight), "--total", str(total), "--val-size", str(VALUE_BYTES)]
            arguments += ["--key-size", str(KEY_BYTES), "--key-space-size", str(KEYS)]
        else:
            arguments = ["range", READ_KEY, "--clients", str(task.in_flight), "--total", str(total)]
            arguments += ["--consistency", "s" if task.serializable else "l"]
        before_s = _children_cpu_s()
        report = await self._run([*arguments, *common], SLOWER * seconds + MARGIN_S)
        used_s = _children_cpu_s() - before_s
        return _sample(report, used_s / (total * max(1, task.watchers)), has_latencies=not task.watchers)

    async def _run(self, arguments: list[str], timeout_s: float) -> str:
        process = await asyncio.create_subprocess_exec(
            *(str(self._program), *self._server, *arguments),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # see own_etcd
        )
        try:
            async with asyncio.timeout(timeout_s):
                output, problems = await process.communicate()
        except TimeoutError:
            raise RuntimeError(f"benchmark {arguments[0]} did not end within {timeout_s:g} s") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        report = output.decode(errors="replace")
        if process.returncode or "Error distribution:" in report:
            said = report.partition("Error distribution:")[2] or problems.decode(errors="replace")
            raise RuntimeError(f"benchmark {arguments[0]} failed: {said.strip()[-2000:]}")
        if b"GoAway" in problems:  # it connects and tries again by itself, and only its pace suffers
            raise RuntimeError(f"benchmark {arguments[0]} was cut off: {problems.decode(errors='replace')[-2000:]}")
        return report


def _sample(report: str, cpu_s_a_request: float, *, has_latencies: bool) -> Sample:
    """The last of the reports that the program printed: that of a watch load begins with the making of watches.

    Raises:
        RuntimeError: it is none.
    """
    rates = _RATE.findall(report)
    p50, p99 = (re.findall(_PERCENTILE.format(percent), report) for percent in (50, 99))
    if not rates or not p50:
        raise RuntimeError(f"benchmark reported no figures: {report[-2000:]}")
    p50_ms, p99_ms = (float(found[-1]) * 1e3 if found and has_latencies else 0.0 for found in (p50, p99))
    return Sample(float(rates[-1]), p50_ms, p99_ms, cpu_s_a_request * 1e6)


def _children_cpu_s() -> float:
    """Processor time of all ended child processes, in seconds."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
