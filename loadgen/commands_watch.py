"""``oarlock bench``: storms of watch events, and how long one event takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any, Final

import click

from oarlock.loadgen.commands_common import (
    Command,
    carry_out,
    load_of,
    load_options,
    load_options_with,
    load_settings,
    output_options,
    spoken_errors,
    tell,
    together,
    value_size_option,
)
from oarlock.loadgen.job import Job
from oarlock.loadgen.outcome import Outcome
from oarlock.loadgen.report import Report
from oarlock.loadgen.watch_storm import DEFAULT_WATCHERS, DELIVERY, SERVER_CPU_US, WRITING_US
from oarlock.loadgen.watchers import Completeness, completeness_of
from oarlock.loadgen.workloads import DEFAULT_KEY_BYTES, KEY_PREFIX

LATENCY_RATE: Final = 100.0
"""Writes a second, where none are asked for: what no server is busy with, so that the path is measured and no queue."""
LATENCY_S: Final = 10.0
LATENCY_IN_FLIGHT: Final = 1_000
"""At most: a write that is due waits for no other."""


def watch_options(watchers: int) -> Callable[[Command], Command]:
    """Who watches what, with so many watchers where none are asked for."""
    return together(
        click.option("--watchers", default=watchers, show_default=True, help="Watches, spread over the clients."),
        click.option("--keys", default=1, show_default=True, help="Keys: watcher n watches key n modulo KEYS."),
        click.option("--key-size", default=DEFAULT_KEY_BYTES, show_default=True, help="Bytes of a key."),
        click.option("--key-prefix", default=KEY_PREFIX.decode(), show_default=True, help="What all keys begin with."),
        value_size_option,
    )


@click.command("watch-storm")
@load_options
@watch_options(DEFAULT_WATCHERS)
@output_options
def watch_storm(**options: Any) -> None:
    """Write keys that are watched: rate and latency of deliveries, whether all came once and in order.

    Exits with 1 where they did not. The latency of a delivery is from the write's sending to the event's arrival.
    """
    _carry_out("watch-storm", options)


@click.command("watch-latency")
@load_options_with(LATENCY_IN_FLIGHT)
@watch_options(1)
@output_options
def watch_latency(**options: Any) -> None:
    """Write a watched key at a steady rate, and measure from each write's sending to the event's arrival.

    Without --rate, 100 writes a second; without --total and --duration, 10 seconds.
    """
    options["rate"] = options["rate"] or LATENCY_RATE
    if options["total"] is None and options["duration"] is None:
        options["duration"] = LATENCY_S
    _carry_out("watch-latency", options)


def _carry_out(name: str, options: dict[str, Any]) -> None:
    with spoken_errors():
        processes = options["processes"]
        load = load_of(options, processes)
        own = {each: options[each] for each in ("watchers", "keys", "key_size", "value_size")}
        outcome = carry_out(Job(name, load, own | {"key_prefix": options["key_prefix"].encode()}), processes)
    completeness = completeness_of(outcome.counts)
    settings = load_settings(load, processes) | {"watchers": own["watchers"], "keys": own["keys"]}
    settings |= {"key_size_bytes": own["key_size"], "value_size_bytes": own["value_size"]}
    tell(report_of(name, settings, outcome, completeness, processes))
    if not completeness.is_whole:
        raise SystemExit(1)


def report_of(
    name: str, settings: dict[str, Any], outcome: Outcome, completeness: Completeness, processes: int
) -> Report:
    """The report of a storm: writes over the time of writing, deliveries over all the time until the last one."""
    writing_s = outcome.counts[WRITING_US] / 1e6 / processes
    figures = replace(outcome.figures("put"), seconds=writing_s)
    deliveries = outcome.series[DELIVERY].latencies
    extra: dict[str, Any] = {"delivery_seconds": round(outcome.seconds, 6), "completeness": asdict(completeness)}
    extra["generator_busy_percent"] = round(outcome.cpu_s / outcome.seconds / processes * 100, 1)
    if deliveries.count:
        extra["generator_cpu_us_a_delivery"] = round(outcome.cpu_s * 1e6 / deliveries.count, 3)
        if SERVER_CPU_US in outcome.counts:
            extra["server_cpu_us_a_delivery"] = round(outcome.counts[SERVER_CPU_US] / deliveries.count, 3)
    puts = replace(outcome, series={"put": outcome.series["put"]})
    return Report(name, settings, figures, (deliveries.count / outcome.seconds, deliveries), extra, puts)


COMMANDS: Final = (watch_storm, watch_latency)
"""For the group."""
