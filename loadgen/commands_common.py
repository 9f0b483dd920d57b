"""What the commands of ``oarlock bench`` share: options, what they stand for, progress, errors."""

from __future__ import annotations

import asyncio
import signal
from asyncio import Future
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Protocol

import click
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from oarlock.loadgen import runner
from oarlock.loadgen.commands_report import Chartable, report, report_option
from oarlock.loadgen.crew import run_job
from oarlock.loadgen.job import Job
from oarlock.loadgen.outcome import Outcome
from oarlock.loadgen.runner import Load, Progress
from oarlock.loadgen.workloads import (
    DEFAULT_KEY_BYTES,
    DEFAULT_KEYS,
    DEFAULT_VALUE_BYTES,
    DEFAULT_ZIPF_EXPONENT,
    DISTRIBUTIONS,
    FILL_IN_FLIGHT,
    KEY_PREFIX,
)
from oarlock.wire.errors import OarlockError
from oarlock.wire.process import raise_descriptor_limit

Command = Callable[..., Any]

DEFAULT_TOTAL: Final = 10_000


def together(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """One decorator of several, shown in this order."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def load_options_with(in_flight: int) -> Callable[[Command], Command]:
    """How hard to press (see ``load_of``), with another number of requests in flight where none is given."""
    return together(
        click.option(
            "--endpoints",
            envvar="OARLOCK_ENDPOINTS",
            default="127.0.0.1:2378",
            show_default=True,
            help="Native ports, host:port, separated by commas.",
        ),
        click.option("--clients", type=int, help="Connections, each with its own client.  [default: 1 a process]"),
        click.option("--in-flight", default=in_flight, show_default=True, help="Requests in flight for each client."),
        click.option("--processes", default=1, show_default=True, help="Processes that share the load."),
        click.option("--total", type=int, help=f"Requests in all.  [default: {DEFAULT_TOTAL}, without --duration]"),
        click.option("--duration", type=float, help="Seconds after which no more is sent."),
        click.option("--rate", default=0.0, help="Requests a second in all; 0 is as fast as answers come."),
        click.option("--timeout", default=5.0, show_default=True, help="Seconds that a request may take."),
        click.option("--seed", default=0, show_default=True, help="Of whatever is drawn at random."),
    )


load_options = load_options_with(1)
"""How hard to press: see ``load_of``."""

_FORM: Final = "oarlock.loadgen.form"


def _keep(context: click.Context, option: click.Parameter, value: Any) -> None:
    context.meta[_FORM] = value


output_options = together(
    click.option(
        "-w",
        "--write-out",
        type=click.Choice(["table", "json"]),
        default="table",
        show_default=True,
        expose_value=False,
        callback=_keep,
    ),
    report_option,
)
"""How the results are told, by ``tell``."""


class Showable(Chartable, Protocol):
    """Results: a Report is one."""

    def show(self, form: str) -> None:
        """Prints them to standard output: ``form`` is "table" or "json"."""


def tell(results: Showable) -> None:
    """Shows ``results`` as the ``output_options`` of the running command say."""
    results.show(click.get_current_context().meta[_FORM])
    report(results)


key_options = together(
    click.option("--key-size", default=DEFAULT_KEY_BYTES, show_default=True, help="Bytes of a key."),
    click.option("--key-space-size", default=DEFAULT_KEYS, show_default=True, help="Different keys."),
    click.option("--key-prefix", default=KEY_PREFIX.decode(), show_default=True, help="What all keys begin with."),
    click.option("--random/--sequential", default=False, show_default=True, help="Order of the keys."),
    click.option("--distribution", type=click.Choice(DISTRIBUTIONS), help="How keys are drawn; --random is uniform."),
    click.option("--zipf-exponent", default=DEFAULT_ZIPF_EXPONENT, show_default=True, help="Of --distribution zipf."),
)
"""Which keys: see ``key_options_of``."""

value_size_option = click.option(
    "--value-size", default=DEFAULT_VALUE_BYTES, show_default=True, help="Bytes of a value."
)
consistency_option = click.option(
    "--consistency", type=click.Choice(["l", "s"]), default="l", show_default=True, help="Linearizable or serializable."
)
fill_option = click.option(
    "--fill", "filled", is_flag=True, help="First put every key of the key space once, with values of --value-size."
)


def load_of(options: dict[str, Any], processes: int) -> Load:
    """The load of ``processes`` processes that ``load_options`` stand for.

    Raises:
        ValueError: one that cannot be.
    """
    total, duration_s = options["total"], options["duration"]
    if total is None and duration_s is None:
        total = DEFAULT_TOTAL
    return Load(
        tuple(endpoint for endpoint in options["endpoints"].split(",") if endpoint),
        clients=processes if options["clients"] is None else options["clients"],
        in_flight=options["in_flight"],
        total=total,
        duration_s=duration_s,
        rate=options["rate"],
        timeout_s=options["timeout"],
    )


def key_options_of(options: dict[str, Any]) -> dict[str, Any]:
    """The options of a job that ``key_options`` stand for."""
    return {
        "key_size": options["key_size"],
        "key_space_size": options["key_space_size"],
        "key_prefix": options["key_prefix"].encode(),
        "distribution": options["distribution"] or ("uniform" if options["random"] else "sequential"),
        "zipf_exponent": options["zipf_exponent"],
    }


def load_settings(load: Load, processes: int) -> dict[str, Any]:
    """What was asked for, for the report."""
    return {
        "endpoints": ",".join(load.endpoints),
        "processes": processes,
        "clients": load.clients,
        "in_flight_a_client": load.in_flight,
        "rate_limit": load.rate,
    }


def key_settings(keys: dict[str, Any]) -> dict[str, Any]:
    """What was asked for, for the report."""
    settings = {
        "key_size_bytes": keys["key_size"],
        "key_space_size": keys["key_space_size"],
        "random_keys": keys["distribution"] != "sequential",
        "distribution": keys["distribution"],
    }
    return settings | ({"zipf_exponent": keys["zipf_exponent"]} if keys["distribution"] == "zipf" else {})


def carry_out(job: Job, processes: int, title: str | None = None) -> Outcome:
    """Runs ``job`` with a bar, until it is done or the user has had enough (Ctrl-C), and tells what came of it.

    Raises: as ``run_job``.
    """
    raise_descriptor_limit()
    with bar(title or job.workload, job.load) as progress:
        return runner.run(_until_interrupted(job, processes, progress))


async def _until_interrupted(job: Job, processes: int, progress: Progress) -> Outcome:
    """The first Ctrl-C ends the load and not the program; the next one does what it always does."""
    loop = asyncio.get_running_loop()
    stop: Future[None] = loop.create_future()

    def interrupted() -> None:
        loop.remove_signal_handler(signal.SIGINT)
        if not stop.done():
            stop.set_result(None)

    loop.add_signal_handler(signal.SIGINT, interrupted)
    try:
        return await run_job(job, processes, progress, stop)
    finally:
        loop.remove_signal_handler(signal.SIGINT)


def fill(load: Load, keys: dict[str, Any], value_size: int, processes: int) -> None:
    """Puts every key once.

    Raises: as ``run_job``; OarlockError: not all could be put.
    """
    count = keys["key_space_size"]
    processes = max(1, min(processes, count))
    filling = Load(load.endpoints, processes, FILL_IN_FLIGHT, count, timeout_s=load.timeout_s)
    options = keys | {"distribution": "sequential", "value_size": value_size}
    failed = carry_out(Job("put", filling, options), processes, "fill").figures().errors
    if failed:
        raise OarlockError(f"not all keys could be put: {dict(failed)}")


@contextmanager
def bar(title: str, load: Load) -> Iterator[Progress]:
    """A progress bar on standard error if that is a terminal; by requests, or else by time."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield runner.no_progress
        return
    columns: Sequence[Any] = (
        TextColumn(title),
        BarColumn(),
        TextColumn("{task.fields[ended]:,} requests, {task.fields[rate]:,.0f} a second"),
        TimeElapsedColumn(),
    )
    with Bar(*columns, console=console, auto_refresh=False, transient=True) as shown:
        task = shown.add_task(title, total=load.total or load.duration_s, ended=0, rate=0.0)

        def progress(ended: int, elapsed_s: float) -> None:
            rate = ended / elapsed_s if elapsed_s else 0.0
            completed = ended if load.total else elapsed_s
            shown.update(task, completed=completed, ended=ended, rate=rate, refresh=True)

        yield progress


@contextmanager
def spoken_errors() -> Iterator[None]:
    """One line for what went wrong, as everywhere on the command line."""
    try:
        yield
    except OarlockError as problem:
        raise click.ClickException(problem.message) from None
    except ValueError as problem:
        raise click.UsageError(str(problem)) from None
