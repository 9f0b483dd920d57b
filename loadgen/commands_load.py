"""``oarlock bench``: reads among puts, compare-and-swap, values from small to large, storms of connections."""

from __future__ import annotations

from typing import Any, Final

import click

from oarlock.loadgen.commands_common import (
    carry_out,
    consistency_option,
    fill,
    fill_option,
    key_options,
    key_options_of,
    key_settings,
    load_of,
    load_options,
    load_options_with,
    load_settings,
    output_options,
    spoken_errors,
    tell,
    value_size_option,
)
from oarlock.loadgen.job import Job
from oarlock.loadgen.report import Report
from oarlock.loadgen.size_sweep import SWEPT_KEYS, SWEPT_PREFIX, SWEPT_SIZES, SizeSweep
from oarlock.loadgen.workloads_mixed import DEFAULT_MAX_TRIES, DEFAULT_READ_SHARE

CONTENDED_KEYS: Final = 10
CONNECTING: Final = 100
"""At a time, where nothing else is asked for: at a thousand a second, a tenth of a second's."""


@click.command()
@load_options
@key_options
@value_size_option
@consistency_option
@click.option("--read-share", default=DEFAULT_READ_SHARE, show_default=True, help="How many of all are reads, 0 to 1.")
@fill_option
@output_options
def mixed(value_size: int, consistency: str, read_share: float, filled: bool, processes: int, **options: Any) -> None:
    """Read and put keys, in any order, a share of each."""
    with spoken_errors():
        load, keys = load_of(options, processes), key_options_of(options)
        own = {"value_size": value_size, "read_share": read_share, "serializable": consistency == "s"}
        job = Job("mixed", load, keys | own, seed=options["seed"])
        if filled:
            fill(load, keys, value_size, processes)
        outcome = carry_out(job, processes)
    settings = load_settings(load, processes) | key_settings(keys)
    settings |= {"value_size_bytes": value_size, "read_share": read_share, "serializable": consistency == "s"}
    tell(Report.of("mixed", settings, outcome))


@click.command()
@load_options
@click.option("--keys", default=CONTENDED_KEYS, show_default=True, help="Keys that all contend for.")
@value_size_option
@click.option("--max-tries", default=DEFAULT_MAX_TRIES, show_default=True, help="After which a swap gives up.")
@output_options
def txn(keys: int, value_size: int, max_tries: int, processes: int, **options: Any) -> None:
    """Compare and swap the values of a few keys, and try again where another was faster.

    A request is a swap as a whole: a read, and transactions until one succeeds.
    """
    with spoken_errors():
        load = load_of(options, processes)
        own = {"key_space_size": keys, "distribution": "uniform", "value_size": value_size, "max_tries": max_tries}
        outcome = carry_out(Job("txn", load, own, seed=options["seed"]), processes)
    settings = load_settings(load, processes)
    settings |= {"key_space_size": keys, "value_size_bytes": value_size, "max_tries": max_tries}
    tell(Report.of("txn", settings, outcome))


@click.command("connect-storm")
@load_options_with(CONNECTING)
@click.option("--hold", default=0.0, show_default=True, help="Seconds for which a connection stays, 1,000 a process.")
@output_options
def connect_storm(hold: float, processes: int, **options: Any) -> None:
    """Connect new clients, --rate of them a second; a request lasts from connecting to the server's greeting.

    --clients times --in-flight bounds how many connect at a time.
    """
    with spoken_errors():
        load = load_of(options, processes)
        outcome = carry_out(Job("connect-storm", load, {"hold_s": hold}), processes)
    tell(Report.of("connect-storm", load_settings(load, processes) | {"hold_s": hold}, outcome))


@click.command("large-values")
@load_options
@click.option("--value-size", "sizes", type=int, multiple=True, help="Bytes; may be repeated.  [default: 16 to 1 MiB]")
@click.option("--key-space-size", default=SWEPT_KEYS, show_default=True, help="Different keys.")
@consistency_option
@output_options
def large_values(sizes: tuple[int, ...], key_space_size: int, consistency: str, processes: int, **options: Any) -> None:
    """Put values and read them again, size by size.

    Without --total and --duration, so many of each size as make 64 MiB, 10,000 at most.
    """
    with spoken_errors():
        bounded = options["total"] is not None or options["duration"] is not None
        load = load_of(options, processes)
        own = {
            "key_prefix": SWEPT_PREFIX,
            "key_space_size": key_space_size,
            "reads": {"serializable": consistency == "s"},
        }
        settings = load_settings(load, processes)
        settings |= {"key_space_size": key_space_size, "serializable": consistency == "s"}
        sweep = SizeSweep(load, own, processes, options["seed"], settings, bounded=bounded)
        for size in sizes or SWEPT_SIZES:
            sweep.measure(size, carry_out)
    tell(sweep)


COMMANDS: Final = (mixed, txn, connect_storm, large_values)
"""For the group."""
