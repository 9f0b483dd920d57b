"""``oarlock bench``: puts and reads; the group's other commands are in ``commands_*``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from oarlock.loadgen import commands_compare, commands_lease, commands_load, commands_own, commands_watch
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
    load_settings,
    output_options,
    spoken_errors,
    tell,
    value_size_option,
)
from oarlock.loadgen.job import Job
from oarlock.loadgen.report import Report
from oarlock.loadgen.workloads import Reads


@click.group("bench", short_help="Put a load on a server, and measure.")
def bench() -> None:
    """Put a load on a server, and measure throughput and latency.

    With --rate, requests are due at fixed times, and latency counts from then on. Without it, each answer brings on the
    next request, and latency counts from its sending.
    """


for command in (
    *commands_load.COMMANDS,
    *commands_watch.COMMANDS,
    *commands_lease.COMMANDS,
    *commands_own.COMMANDS,
    *commands_compare.COMMANDS,
):
    bench.add_command(command)


@bench.command()
@load_options
@key_options
@value_size_option
@output_options
def put(value_size: int, processes: int, **options: Any) -> None:
    """Put values to keys."""
    with spoken_errors():
        load, keys = load_of(options, processes), key_options_of(options)
        job = Job("put", load, keys | {"value_size": value_size}, seed=options["seed"])
        outcome = carry_out(job, processes)
    settings = load_settings(load, processes) | key_settings(keys) | {"value_size_bytes": value_size}
    tell(Report.of("put", settings, outcome))


@bench.command("range")
@click.argument("key", required=False)
@click.argument("range_end", required=False, default="")
@load_options
@key_options
@value_size_option
@consistency_option
@click.option("--prefix", is_flag=True, help="Read all keys that begin with KEY.")
@click.option("--limit", default=0, help="Keys in an answer at most; 0 for all.")
@click.option("--count-only", is_flag=True, help="Ask for the number of keys alone.")
@fill_option
@output_options
def range_command(key: str | None, value_size: int, filled: bool, processes: int, **options: Any) -> None:
    """Read the range from KEY to RANGE_END again and again; without KEY, the keys of the key space one by one."""
    with spoken_errors():
        load, keys = load_of(options, processes), key_options_of(options)
        reads = asdict(_reads(key, options))
        job = Job("range", load, keys | {"reads": reads}, seed=options["seed"])
        if filled:
            fill(load, keys, value_size, processes)
        outcome = carry_out(job, processes)
    settings = load_settings(load, processes) | key_settings(keys)
    settings |= {
        name: value.decode(errors="backslashreplace") if isinstance(value, bytes) else value
        for name, value in reads.items()
    }
    tell(Report.of("range", settings, outcome))


def _reads(key: str | None, options: dict[str, Any]) -> Reads:
    serializable, limit, count_only = options["consistency"] == "s", options["limit"], options["count_only"]
    if options["prefix"]:
        if options["range_end"]:
            raise ValueError("--prefix and RANGE_END exclude each other")
        prefix = (key or "").encode()
        return Reads.of_prefix(prefix, serializable=serializable, limit=limit, count_only=count_only)
    return Reads(serializable, key.encode() if key else None, options["range_end"].encode(), limit, count_only)
