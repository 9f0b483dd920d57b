"""The space quota of a live server: puts are refused when it is full, what gives space back never is."""

from __future__ import annotations

import itertools
import time

import pytest

import oarlock
from oarlock import ops
from oarlock.wire.operations import Alarm
from tests.server import running, wait_until

QUOTA_BYTES = 16 << 20
VALUE = b"v" * (256 << 10)
PATIENCE_S = 30.0


def test_a_full_store_refuses_puts_takes_deletes_and_recovers_by_itself(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    arguments = ("--quota-backend-bytes", str(QUOTA_BYTES))
    directory = tmp_path_factory.mktemp("quota")
    with (
        running(directory, workers=1, arguments=arguments) as server,
        oarlock.connect(server.native_endpoint, timeout_s=PATIENCE_S) as client,
    ):
        refusal = fill(client)
        assert refusal.message == "etcdserver: mvcc: database space exceeded"
        wait_until(lambda: [each.alarm for each in client.alarms()] == [Alarm.NOSPACE], PATIENCE_S, "the alarm")
        before = client.status().db_size_in_use
        with pytest.raises(oarlock.NoSpaceError):
            client.put("small", "1")
        with pytest.raises(oarlock.NoSpaceError):
            client.transaction([], [ops.put("small", "1")])
        with pytest.raises(oarlock.NoSpaceError):
            client.lease(60)
        assert client.get("key/0") is not None  # reads work
        assert client.delete_prefix("key/").deleted > 1
        client.compact(client.revision, physical=True)
        wait_until(lambda: not client.alarms(), PATIENCE_S, "the alarm clears by itself")
        assert client.status().db_size_in_use < before
        client.put("small", "1")


def fill(client: oarlock.Client) -> oarlock.NoSpaceError:
    """Puts until the server refuses, which looks at its space once a second; returns its refusal."""
    deadline_s = time.monotonic() + PATIENCE_S
    for number in itertools.count():
        try:
            client.put(f"key/{number}", VALUE)
        except oarlock.NoSpaceError as refused:
            return refused
        assert time.monotonic() < deadline_s, "the quota means nothing"
    raise AssertionError
