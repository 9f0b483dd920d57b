"""``oarlock bench lease-storm``: leases granted, kept alive, and let go."""

from __future__ import annotations

import time
from typing import Any, Final

import click

from oarlock.loadgen.commands_common import (
    carry_out,
    load_of,
    load_options_with,
    load_settings,
    output_options,
    spoken_errors,
    tell,
)
from oarlock.loadgen.job import Job
from oarlock.loadgen.lease_expiries import EARLY, EXPIRED, LOST, MISSING
from oarlock.loadgen.lease_storm import ENDED, EXPIRY, GRANT, KEEPALIVE, KEY_PREFIX, duration_count
from oarlock.loadgen.phases import Phases

DEFAULT_LEASES: Final = 10_000
DEFAULT_TTL_S: Final = 10
"""Long enough that a busy machine gets from the grant of the last to the renewal of the first."""
IN_FLIGHT: Final = 100
ROUNDS: Final = 3
"""Keepalives of each lease, where neither their number nor a duration is asked for."""


@click.command("lease-storm")
@load_options_with(IN_FLIGHT)
@click.option("--leases", default=DEFAULT_LEASES, show_default=True, help="How many.")
@click.option("--ttl", default=DEFAULT_TTL_S, show_default=True, help="Seconds that each lives without a renewal.")
@click.option("--key-prefix", default=KEY_PREFIX.decode(), show_default=True, help="Of the key that each lease has.")
@output_options
def lease_storm(leases: int, ttl: int, key_prefix: str, processes: int, **options: Any) -> None:
    """Grant leases, keep them alive, let them go, and measure how late each ends.

    --total, --duration and --rate are of the keepalives; without them, three a lease. A lease ends late by the time
    from the sending of its last renewal to the news of its end, less its TTL. Exits with 1 where one ended early, or
    not at all.
    """
    with spoken_errors():
        if options["total"] is None and options["duration"] is None:
            options["total"] = ROUNDS * leases
        load = load_of(options, processes)
        own = {"leases": leases, "ttl_s": ttl, "first_id": _first_id(), "key_prefix": key_prefix.encode()}
        outcome = carry_out(Job("lease-storm", load, own), processes)
    settings = load_settings(load, processes) | {"leases": leases, "ttl_s": ttl}
    seconds = {name: outcome.counts[duration_count(name)] / 1e6 / processes for name in (GRANT, KEEPALIVE, EXPIRY)}
    became = {name: outcome.counts[name] for name in (EXPIRED, EARLY, LOST, MISSING)}
    busy_percent = round(outcome.cpu_s / outcome.seconds / processes * 100, 1)
    extra = {ENDED: outcome.counts[ENDED], "leases": became, "generator_busy_percent": busy_percent}
    tell(Phases("lease-storm", settings, outcome, seconds, extra))
    if became[EARLY] or became[MISSING]:
        raise SystemExit(1)


def _first_id() -> int:
    """Ids from there on are nobody's: no two runs begin in the same microsecond."""
    return time.time_ns() // 1_000


COMMANDS: Final = (lease_storm,)
"""For the group."""
