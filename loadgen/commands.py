"""``oarlock bench``: put, range and watch loads from the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from oarlock.loadgen import runner, workloads
from oarlock.loadgen.plan import KeySpace
from oarlock.loadgen.report import Report
from oarlock.loadgen.runner import Load, Progress
from oarlock.loadgen.workloads import Reads
from oarlock.wire.errors import OarlockError

Command = Callable[..., Any]

DEFAULT_TOTAL = 10_000
KEY_PREFIX = b"bench/"


@click.group("bench", short_help="Put a load on a server, and measure.")
def bench() -> None:
    """Put a load on a server, and measure throughput and latency.

    With --rate, requests are due at fixed times, and latency counts from then on. Without it, each answer brings on the
    next request, and latency counts from its sending.
    """


def _load_options(command: Command) -> Command:
    options = [
        click.option(
            "--endpoints",
            envvar="OARLOCK_ENDPOINTS",
            default="127.0.0.1:2378",
            show_default=True,
            help="Native ports, host:port, separated by commas.",
        ),
        click.option("--clients", default=1, show_default=True, help="Connections, each with its own client."),
        click.option("--in-flight", default=1, show_default=True, help="Requests in flight for each client."),
        click.option("--total", type=int, help=f"Requests in all.  [default: {DEFAULT_TOTAL}, without --duration]"),
        click.option("--duration", type=float, help="Seconds after which no more is sent."),
        click.option("--rate", default=0.0, help="Requests a second in all; 0 is as fast as answers come."),
        click.option("--timeout", default=5.0, show_default=True, help="Seconds that a request may take."),
        click.option("-w", "--write-out", type=click.Choice(["table", "json"]), default="table", show_default=True),
    ]
    return _with(options, command)


def _key_options(command: Command) -> Command:
    options = [
        click.option("--key-size", default=32, show_default=True, help="Bytes of a key."),
        click.option("--key-space-size", default=10_000, show_default=True, help="Different keys."),
        click.option("--random/--sequential", default=False, show_default=True, help="Order of the keys."),
        click.option("--seed", default=0, show_default=True, help="Of the random order."),
    ]
    return _with(options, command)


def _with(options: Sequence[Callable[[Command], Command]], command: Command) -> Command:
    for option in reversed(options):
        command = option(command)
    return command


_VALUE_SIZE = click.option("--value-size", default=256, show_default=True, help="Bytes of a value.")


@bench.command()
@_load_options
@_key_options
@_VALUE_SIZE
def put(value_size: int, write_out: str, **options: Any) -> None:
    """Put values to keys."""
    with _spoken_errors():
        load, keys = _load(options), _key_space(options)
        with _bar("put", load) as progress:
            figures = runner.run(workloads.run_puts(load, keys, value_size, progress))
    settings = _settings(load, keys) | {"value_size_bytes": value_size}
    Report("put", settings, figures).show(write_out)


@bench.command("range")
@click.argument("key", required=False)
@click.argument("range_end", required=False, default="")
@_load_options
@_key_options
@_VALUE_SIZE
@click.option(
    "--consistency", type=click.Choice(["l", "s"]), default="l", show_default=True, help="Linearizable or serializable."
)
@click.option("--prefix", is_flag=True, help="Read all keys that begin with KEY.")
@click.option("--limit", default=0, help="Keys in an answer at most; 0 for all.")
@click.option("--count-only", is_flag=True, help="Ask for the number of keys alone.")
@click.option("--fill", is_flag=True, help="First put every key of the key space once, with values of --value-size.")
def range_command(key: str | None, value_size: int, fill: bool, write_out: str, **options: Any) -> None:
    """Read the range from KEY to RANGE_END again and again; without KEY, the keys of the key space one by one."""
    with _spoken_errors():
        load, keys, reads = _load(options), _key_space(options), _reads(key, options)
        if fill:
            filling = Load(load.endpoints, total=keys.count)
            with _bar("fill", filling) as progress:
                runner.run(workloads.fill(load.endpoints, keys, value_size, progress))
        with _bar("range", load) as progress:
            figures = runner.run(workloads.run_reads(load, keys, reads, progress))
    settings = _settings(load, keys) | {
        name: value.decode(errors="backslashreplace") if isinstance(value, bytes) else value
        for name, value in asdict(reads).items()
    }
    Report("range", settings, figures).show(write_out)


@bench.command()
@_load_options
@_key_options
@_VALUE_SIZE
@click.option("--watchers", default=100, show_default=True, help="Watches; number n watches key n modulo key space.")
def watch(watchers: int, value_size: int, write_out: str, **options: Any) -> None:
    """Write keys that are watched, and measure the deliveries: rate, latency, whether all came once and in order.

    Exits with 1 where they did not.
    """
    from oarlock.loadgen.watch_workload import run_watches

    with _spoken_errors():
        load, keys = _load(options), _key_space(options)
        with _bar("watch", load) as progress:
            figures, deliveries = runner.run(run_watches(load, keys, watchers, value_size, progress))
    settings = _settings(load, keys) | {"value_size_bytes": value_size, "watchers": watchers}
    extra = {"completeness": asdict(deliveries.completeness), "lost_watches": deliveries.lost_watches}
    Report("watch", settings, figures, (deliveries.rate, deliveries.latencies), extra).show(write_out)
    if not deliveries.completeness.is_whole:
        raise SystemExit(1)


def _load(options: dict[str, Any]) -> Load:
    total, duration_s = options["total"], options["duration"]
    if total is None and duration_s is None:
        total = DEFAULT_TOTAL
    return Load(
        tuple(endpoint for endpoint in options["endpoints"].split(",") if endpoint),
        clients=options["clients"],
        in_flight=options["in_flight"],
        total=total,
        duration_s=duration_s,
        rate=options["rate"],
        timeout_s=options["timeout"],
    )


def _key_space(options: dict[str, Any]) -> KeySpace:
    return KeySpace(options["key_space_size"], options["key_size"], KEY_PREFIX, options["random"], options["seed"])


def _reads(key: str | None, options: dict[str, Any]) -> Reads:
    serializable, limit, count_only = options["consistency"] == "s", options["limit"], options["count_only"]
    if options["prefix"]:
        if options["range_end"]:
            raise ValueError("--prefix and RANGE_END exclude each other")
        prefix = (key or "").encode()
        return Reads.of_prefix(prefix, serializable=serializable, limit=limit, count_only=count_only)
    return Reads(serializable, key.encode() if key else None, options["range_end"].encode(), limit, count_only)


def _settings(load: Load, keys: KeySpace) -> dict[str, Any]:
    return {
        "endpoints": ",".join(load.endpoints),
        "clients": load.clients,
        "in_flight_a_client": load.in_flight,
        "rate_limit": load.rate,
        "key_size_bytes": keys.size,
        "key_space_size": keys.count,
        "random_keys": keys.random,
    }


@contextmanager
def _bar(title: str, load: Load) -> Iterator[Progress]:
    """A progress bar on standard error if that is a terminal; by requests, or else by time."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield runner.no_progress
        return
    columns = (TextColumn(title), BarColumn(), TextColumn("{task.fields[ended]:,} requests"), TimeElapsedColumn())
    with Bar(*columns, console=console, auto_refresh=False, transient=True) as bar:
        task = bar.add_task(title, total=load.total or load.duration_s, ended=0)

        def progress(ended: int, elapsed_s: float) -> None:
            bar.update(task, completed=ended if load.total else elapsed_s, ended=ended, refresh=True)

        yield progress


@contextmanager
def _spoken_errors() -> Iterator[None]:
    """One line for what went wrong, as everywhere on the command line."""
    try:
        yield
    except OarlockError as problem:
        raise click.ClickException(problem.message) from None
    except ValueError as problem:
        raise click.UsageError(str(problem)) from None
