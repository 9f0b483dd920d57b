"""Leases of a live server: their keys go when their time is over, not before, and nobody is told otherwise."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import oarlock
from oarlock.wire.operations import MIN_TTL_S
from tests.server import Server, wait_until

PATIENCE_S = 30.0
"""How long a condition may take that comes by itself on a machine with other things to do."""
KEYS = [b"%d" % number for number in range(3)]


def leased(client: oarlock.Client, prefix: bytes, ttl_s: int = MIN_TTL_S) -> tuple[oarlock.Lease, float]:
    """A lease with some keys, and the moment before which it cannot end."""
    begin_s = time.monotonic()
    lease = client.lease(ttl_s)
    for key in KEYS:
        client.put(prefix + key, "leased", lease=lease.id)
    return lease, begin_s + ttl_s


def test_keys_go_with_their_lease_in_one_revision_and_not_before_its_time(
    client: oarlock.Client, prefix: bytes
) -> None:
    with client.watch_prefix(prefix, no_put=True) as watch:
        lease, earliest_s = leased(client, prefix)
        response = watch.next_response()
        assert time.monotonic() >= earliest_s
    assert response is not None
    assert [event.key for event in response.events] == [prefix + key for key in KEYS]
    assert lease.id not in client.leases()
    assert lease.time_to_live().ttl_s == -1


def test_a_lease_that_is_kept_alive_outlives_its_time(client: oarlock.Client, prefix: bytes) -> None:
    kept, ends_s = leased(client, prefix + b"kept/")
    kept.keep_alive()
    _, _ = leased(client, prefix + b"left/")
    with client.watch_prefix(prefix + b"left/", no_put=True) as watch:
        next(watch)  # one of the same age, left alone, is gone
    assert time.monotonic() >= ends_s
    assert not kept.lost
    assert client.count_prefix(prefix + b"kept/") == len(KEYS)
    kept.revoke()


def test_a_refresh_begins_the_time_anew(client: oarlock.Client, prefix: bytes) -> None:
    lease, ends_s = leased(client, prefix)
    wait_until(lambda: lease.time_to_live().ttl_s == 0, PATIENCE_S, "the last second of the lease")
    begin_s = time.monotonic()
    assert lease.refresh().ttl_s == MIN_TTL_S
    with client.watch_prefix(prefix, no_put=True) as watch:
        next(watch)
    assert time.monotonic() >= max(begin_s + MIN_TTL_S, ends_s)


def test_a_keepalive_that_comes_too_late_is_answered_when_the_keys_are_gone(
    client: oarlock.Client, prefix: bytes
) -> None:
    """Many leases end together while keepalives come in; whoever is told that it is over finds no key any more."""
    leases = [leased(client, prefix + b"%d/" % number)[0] for number in range(60)]
    lost = 0
    wait_until(lambda: leases[0].time_to_live().ttl_s < 0, PATIENCE_S, "the first lease has ended")
    for number, lease in enumerate(leases):
        try:
            lease.refresh()
        except oarlock.LeaseNotFoundError:
            lost += 1
            assert client.count_prefix(prefix + b"%d/" % number, serializable=True) == 0
        else:
            assert client.count_prefix(prefix + b"%d/" % number) == len(KEYS)
    assert lost > 0


def test_time_to_live_names_the_keys_in_order(client: oarlock.Client, prefix: bytes) -> None:
    lease, _ = leased(client, prefix, 60)
    left = lease.time_to_live(keys=True)
    assert left.keys == [prefix + key for key in KEYS]
    assert left.granted_ttl_s == 60
    assert 0 <= left.ttl_s <= 60
    assert lease.time_to_live().keys == []
    lease.revoke()


def test_all_leases_are_listed(client: oarlock.Client) -> None:
    granted = [client.lease(60) for _ in range(5)]
    assert {lease.id for lease in granted} <= set(client.leases())
    for lease in granted:
        lease.revoke()
    assert not {lease.id for lease in granted} & set(client.leases())


def test_a_killed_coordinator_gives_every_lease_its_full_time_again(server: Server) -> None:
    with oarlock.connect(server.native_endpoint, timeout_s=PATIENCE_S) as client:
        lease, _ = leased(client, b"", 4)
        wait_until(lambda: lease.time_to_live().ttl_s <= 1, PATIENCE_S, "the end of the lease is near")
        begin_s = time.monotonic()
        server.kill_part("coordinator")
        wait_until(lambda: lease.time_to_live(timeout_s=PATIENCE_S).ttl_s >= 3, PATIENCE_S, "its time begins again")
        assert client.count_prefix("") == len(KEYS)
        with client.watch_prefix("", no_put=True) as watch:
            next(watch)
        assert time.monotonic() >= begin_s + 4


def test_leases_survive_the_death_of_everything(server: Server) -> None:
    with oarlock.connect(server.native_endpoint, timeout_s=PATIENCE_S) as client:
        lease, _ = leased(client, b"", 60)
        server.kill()
        server.start()
        left = lease.time_to_live(keys=True)
        assert left.keys == KEYS
        assert left.ttl_s >= 55
        lease.revoke()
        assert client.count_prefix("") == 0


def test_a_thousand_leases_end_together(client: oarlock.Client, prefix: bytes) -> None:
    with ThreadPoolExecutor(32) as pool:

        def grant(number: int) -> int:
            lease = client.lease(MIN_TTL_S)
            client.put(prefix + b"%d" % number, "", lease=lease.id)
            return lease.id

        ids = set(pool.map(grant, range(1000)))
    assert len(ids) == 1000
    wait_until(lambda: client.count_prefix(prefix) == 0, PATIENCE_S, "all keys are gone")
    wait_until(lambda: not ids & set(client.leases()), PATIENCE_S, "all leases are gone")


def test_the_end_of_a_lease_leaves_keys_that_moved_to_another(client: oarlock.Client, prefix: bytes) -> None:
    short, _ = leased(client, prefix)
    with client.lease(60) as long:
        client.put(prefix + KEYS[0], "moved", lease=long.id)
        with client.watch_prefix(prefix, no_put=True) as watch:
            response = watch.next_response()
        assert response is not None
        assert [event.key for event in response.events] == [prefix + key for key in KEYS[1:]]
        with pytest.raises(oarlock.LeaseNotFoundError):
            short.revoke()
        assert client.get(prefix + KEYS[0]) is not None
