"""A client's write is applied once, however often and by whichever way it comes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from oarlock.storage.replica import Meta
from oarlock.wire.entries import EntryKind
from oarlock.wire.errors import OutcomeUnknownError
from oarlock.wire.operations import DeleteFlag, Op
from tests.workers.harness import Harness

PUT, DELETE = int(Op.PUT), int(Op.DELETE)
CLIENT = 7


def put(sequence: int, key: bytes = b"k", value: bytes = b"v") -> list[Any]:
    return [sequence, PUT, key, value]


def send(harness: Harness, *requests: list[Any], floor: int = 1, since: int = 0, client: int = CLIENT) -> list[Any]:
    return harness.apply([[client, floor, since, list(requests)]])


def is_unknown(reply: list[Any]) -> bool:
    return reply[1] == -OutcomeUnknownError.code and reply[2].startswith(OutcomeUnknownError.text)


def without_log(meta: Meta) -> tuple[int, int]:
    return meta.revision, meta.compact_revision


@pytest.mark.parametrize("restarts", [False, True])
def test_a_write_sent_again_is_answered_as_before(harness: Harness, restarts: bool) -> None:
    requests = [put(1), [2, DELETE, b"k", int(DeleteFlag.PREV_KV)], put(3), [4, PUT, b"k", b"", 5]]
    replies = send(harness, *requests)
    if restarts:
        harness.restart()
    assert send(harness, *requests, since=1) == replies
    assert harness.replica.meta.revision == 4


def test_a_write_twice_in_one_message_is_applied_once(harness: Harness) -> None:
    first, second = send(harness, put(1), put(1))
    assert first == second == [1, 2, None]


def test_clients_do_not_share_sequences(harness: Harness) -> None:
    send(harness, put(1))
    assert send(harness, put(1), client=8) == [[1, 3, None]]


def test_nobody_is_remembered_under_client_zero(harness: Harness) -> None:
    send(harness, put(1), client=0)
    assert send(harness, put(1), client=0) == [[1, 3, None]]


@pytest.mark.parametrize("restarts", [False, True])
def test_below_the_floor_nothing_is_applied(harness: Harness, restarts: bool) -> None:
    send(harness, put(5), floor=5)
    if restarts:
        harness.restart()
    replies = send(harness, put(1), put(4), put(5), floor=1)
    assert [is_unknown(reply) for reply in replies] == [True, True, False]
    assert harness.replica.meta.revision == 2


@pytest.mark.parametrize("past", [{"since": 1}, {"floor": 6}])
def test_a_revoke_that_comes_too_late_ends_the_lease_all_the_same(tmp_path: Path, past: dict[str, int]) -> None:
    harness = Harness(tmp_path / "replica", outcome_window=10)
    harness.write([int(Op.LEASE_GRANT), 3, 60], [PUT, b"k", b"v", 3])
    for sequence in range(30):
        send(harness, put(sequence + 1, b"other"), client=8)
    revoke = [[CLIENT, 1, 0, [[5, int(Op.LEASE_REVOKE), 3]]]]
    revoke[0][1], revoke[0][2] = past.get("floor", 1), past.get("since", 0)
    assert is_unknown(harness.apply(revoke, EntryKind.LEASE_REVOKE)[0])
    with harness.replica.read() as view:
        assert (view.lease_keys(3), view.get(b"k")) == ([], None)
    harness.close()


def test_a_floor_raised_by_repetitions_alone_survives_a_restart(harness: Harness) -> None:
    send(harness, put(9))
    send(harness, put(9), floor=9)
    harness.restart()
    assert is_unknown(send(harness, put(3))[0])


def test_a_reply_that_is_too_large_is_answered_with_its_revision(harness: Harness) -> None:
    request = [2, DELETE, b"k", int(DeleteFlag.PREV_KV)]
    send(harness, put(1, value=b"v" * 2000))
    send(harness, request)
    again = send(harness, request, since=1)[0]
    assert is_unknown(again)
    assert "applied at revision 3" in again[2]


@pytest.mark.parametrize("bounds", [{"outcome_window": 10}, {"max_outcome_bytes": 200}])
def test_what_was_forgotten_is_refused_and_not_applied(tmp_path: Path, bounds: dict[str, int]) -> None:
    harness = Harness(tmp_path / "replica", **bounds)
    send(harness, put(1))
    for sequence in range(30):
        send(harness, put(sequence + 1), client=8)
    revision = harness.replica.meta.revision
    assert is_unknown(send(harness, put(1), since=1)[0])
    assert harness.replica.meta.revision == revision
    harness.close()


def test_within_the_window_nothing_is_forgotten(tmp_path: Path) -> None:
    harness = Harness(tmp_path / "replica", outcome_window=10)
    send(harness, put(1), client=8)
    seen = harness.replica.meta.position
    reply = send(harness, put(1))
    for sequence in range(9):
        send(harness, put(sequence + 1), client=9)
    assert send(harness, put(1), since=seen) == reply
    harness.close()


@pytest.mark.parametrize("bounds", [{"outcome_window": 7}, {"max_outcome_bytes": 150}, {"outcome_window": 1}])
def test_a_restart_at_any_moment_changes_no_state(tmp_path: Path, bounds: dict[str, int]) -> None:
    steady, restarted = Harness(tmp_path / "a", **bounds), Harness(tmp_path / "b", **bounds)
    for number in range(60):
        client = number % 3 if number < 40 else 0
        group = [client, number // 4 + 1, max(0, number - 9) * (number % 2), [put(number // 3 + 1), put(number + 1)]]
        replies = steady.apply([group])
        restarted.restart()
        assert restarted.apply([group]) == replies
    assert steady.replica.meta == restarted.replica.meta
    steady.close()
    restarted.close()


def test_forgotten_outcomes_leave_the_table(tmp_path: Path) -> None:
    harness = Harness(tmp_path / "replica", outcome_window=5)
    for sequence in range(100):
        send(harness, put(sequence + 1), floor=sequence + 1)
    with harness.replica.read() as view:
        assert len(list(view.scan_records("sessions", b"O", b"P"))) == 5
    harness.close()
