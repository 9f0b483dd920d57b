from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oarlock.gateway.proto.lock_pb2 import LockRequest, LockResponse, UnlockRequest, UnlockResponse
from oarlock.gateway.services import candidates, recipes
from oarlock.gateway.services.lock import SESSION_EXPIRED, LockService
from oarlock.wire.errors import Code, CompactedError, NoLeaderError, OverloadedError, StoppedError
from oarlock.wire.operations import Op
from tests.gateway.fakes import FakeExchange
from tests.gateway.store_backend import FIRST_LEASE, StoreBackend

TTL_S = 30


class Locks:
    """Callers of the lock service, each with a lease of its own."""

    def __init__(self, directory: Path) -> None:
        self.backend = StoreBackend(directory)
        self.service = LockService(self.backend)
        for lease in range(1, 20):
            self.backend.run(Op.LEASE_GRANT, lease, TTL_S)

    def start(self, lease: int, name: bytes = b"n") -> FakeExchange:
        """Begins a call, of which nothing is answered yet."""
        exchange = FakeExchange()
        self.service.lock(exchange, LockRequest(name=name, lease=lease).SerializeToString())
        return exchange

    def lock(self, lease: int, name: bytes = b"n") -> FakeExchange:
        """A call, as far as it gets by itself."""
        exchange = self.start(lease, name)
        self.backend.settle()
        return exchange

    def unlock(self, key: bytes) -> UnlockResponse:
        exchange = FakeExchange()
        self.service.unlock(exchange, UnlockRequest(key=key).SerializeToString())
        self.backend.settle()
        return UnlockResponse.FromString(exchange.sent[0])


def has_lock(exchange: FakeExchange) -> bool:
    return bool(exchange.sent)


def response(exchange: FakeExchange) -> LockResponse:
    return LockResponse.FromString(exchange.sent[0])


def failure(exchange: FakeExchange) -> tuple[Code, str]:
    assert exchange.status is not None
    return exchange.status.code, exchange.status.message


@pytest.fixture
def locks(tmp_path: Path) -> Iterator[Locks]:
    made = Locks(tmp_path / "replica")
    yield made
    made.backend.close()


def test_a_free_lock_is_had_at_once_with_gos_key(locks: Locks) -> None:
    got = response(locks.lock(11))
    assert (got.key, got.header.revision) == (b"n/b", 2)
    assert locks.backend.keys(b"n/") == {b"n/b": b""}
    assert locks.backend.run(Op.RANGE, b"n/b")[0][0][5] == 11
    assert [request[0] for request in locks.backend.asked] == [Op.TXN]


def test_the_same_lease_has_it_again_at_once(locks: Locks) -> None:
    first, again = response(locks.lock(1)), response(locks.lock(1))
    assert (again.key, again.header.revision) == (first.key, first.header.revision)


def test_without_a_lease_one_is_granted(locks: Locks) -> None:
    assert response(locks.lock(0)).key == b"n/%x" % FIRST_LEASE
    assert locks.backend.asked[0] == [Op.LEASE_GRANT, 0, recipes.OWN_LEASE_TTL_S]
    locks.backend.run(Op.LEASE_REVOKE, FIRST_LEASE)
    assert locks.backend.keys(b"n/") == {}


def test_names_do_not_touch_each_other(locks: Locks) -> None:
    assert has_lock(locks.lock(1, b"a"))
    assert has_lock(locks.lock(2, b"a/b"))
    assert has_lock(locks.lock(3, b"aa"))


def test_waiters_get_it_in_the_order_in_which_they_came(locks: Locks) -> None:
    calls = [locks.lock(lease) for lease in (5, 3, 4)]
    assert [has_lock(call) for call in calls] == [True, False, False]
    locks.unlock(b"n/5")
    assert [has_lock(call) for call in calls] == [True, True, False]
    assert response(calls[1]).header.revision == locks.backend.revision
    locks.unlock(b"n/3")
    assert has_lock(calls[2])


def test_who_waits_is_not_woken_for_nothing(locks: Locks) -> None:
    for lease in (1, 2, 3, 4):
        locks.lock(lease)
    asked = len(locks.backend.asked)
    locks.unlock(b"n/1")
    assert [request[0] for request in locks.backend.asked[asked:]] == [Op.DELETE, Op.TXN]


def test_a_waiter_that_leaves_the_middle_lets_nobody_pass(locks: Locks) -> None:
    holder, middle, last = (locks.lock(lease) for lease in (1, 2, 3))
    middle.cancel()
    locks.backend.settle()
    assert has_lock(holder)
    assert not has_lock(last)
    assert set(locks.backend.keys(b"n/")) == {b"n/1", b"n/3"}
    locks.unlock(b"n/1")
    assert has_lock(last)


def test_a_lock_that_expires_passes_on(locks: Locks) -> None:
    locks.lock(1)
    waiter = locks.lock(2)
    locks.backend.run(Op.LEASE_REVOKE, 1)
    locks.backend.settle()
    assert has_lock(waiter)


@pytest.mark.parametrize("steps", range(8))
def test_a_lock_released_at_any_moment_is_noticed(locks: Locks, steps: int) -> None:
    locks.lock(1)
    waiter = locks.start(2)
    for _ in range(steps):
        locks.backend.step()
    locks.backend.run(Op.DELETE, b"n/1")
    locks.backend.run(Op.PUT, b"elsewhere", b"")
    locks.backend.settle()
    assert has_lock(waiter)
    locks.backend.hub.validate()
    assert locks.backend.hub.group_count == 0


@pytest.mark.parametrize("steps", range(8))
def test_a_caller_gone_at_any_moment_leaves_nothing(locks: Locks, steps: int) -> None:
    locks.lock(1)
    waiter = locks.start(2)
    for _ in range(steps):
        locks.backend.step()
    waiter.cancel()
    locks.backend.settle()
    assert set(locks.backend.keys(b"n/")) == {b"n/1"}
    assert (locks.backend.hub.group_count, locks.service.room.calls) == (0, 0)


def test_a_caller_gone_before_it_could_be_told_does_not_keep_the_lock(locks: Locks) -> None:
    locks.start(1).cancel()
    locks.backend.settle()
    assert locks.backend.keys(b"n/") == {}


def test_a_second_call_that_goes_away_does_not_release_what_the_lease_has(locks: Locks) -> None:
    locks.lock(1)
    locks.start(1).cancel()
    locks.backend.settle()
    assert set(locks.backend.keys(b"n/")) == {b"n/1"}


def test_a_lease_that_ends_while_it_waits_is_told_in_its_turn(locks: Locks) -> None:
    locks.lock(1)
    waiter = locks.lock(2)
    locks.backend.run(Op.LEASE_REVOKE, 2)
    locks.unlock(b"n/1")
    assert failure(waiter) == (Code.UNKNOWN, SESSION_EXPIRED)


def test_a_key_made_anew_is_not_the_waiters(locks: Locks) -> None:
    locks.lock(1)
    waiter = locks.lock(2)
    locks.backend.run(Op.DELETE, b"n/2")
    locks.backend.run(Op.PUT, b"n/2", b"another's")
    locks.unlock(b"n/1")
    assert failure(waiter) == (Code.UNKNOWN, SESSION_EXPIRED)
    assert locks.backend.keys(b"n/") == {b"n/2": b"another's"}


def test_errors_have_the_text_and_no_code(locks: Locks) -> None:
    assert failure(locks.lock(999)) == (Code.UNKNOWN, "etcdserver: requested lease not found")
    exchange = FakeExchange()
    locks.service.unlock(exchange, b"")
    locks.backend.settle()
    assert failure(exchange) == (Code.UNKNOWN, "etcdserver: key is not provided")


def test_a_lease_that_cannot_be_granted_ends_the_call(locks: Locks) -> None:
    locks.backend.failures[Op.LEASE_GRANT] = [NoLeaderError()]
    assert failure(locks.lock(0)) == (Code.UNKNOWN, NoLeaderError.text)
    assert locks.service.room.calls == 0


def test_an_unlock_of_nothing_is_fine(locks: Locks) -> None:
    assert locks.unlock(b"n/1").header.revision == 1


def test_a_wait_that_cannot_begin_leaves_no_key(locks: Locks) -> None:
    locks.lock(1)
    waiter = locks.start(2)
    locks.backend.step()
    locks.backend.failures[Op.TXN] = [StoppedError()]
    locks.backend.settle()
    assert failure(waiter) == (Code.UNKNOWN, StoppedError.text)
    assert set(locks.backend.keys(b"n/")) == {b"n/1"}


def test_a_wait_that_fails_leaves_no_key(locks: Locks) -> None:
    locks.lock(1)
    waiter = locks.lock(2)
    locks.backend.failures[Op.WATCH_HISTORY] = [StoppedError()]
    locks.backend.run(Op.PUT, b"x", b"")
    locks.backend.hub.skipped_to(locks.backend.revision, 0.0)  # the replica was replaced
    locks.backend.settle()
    assert failure(waiter) == (Code.UNKNOWN, StoppedError.text)
    assert set(locks.backend.keys(b"n/")) == {b"n/1"}


@pytest.mark.parametrize("history", ["there", "compacted"])
@pytest.mark.parametrize("is_released", [True, False])
def test_what_happened_while_the_replica_was_replaced_is_found(locks: Locks, history: str, is_released: bool) -> None:
    locks.lock(1)
    waiter = locks.lock(2)
    if history == "compacted":
        locks.backend.failures[Op.WATCH_HISTORY] = [CompactedError()]
    operation = [Op.DELETE, b"n/1"] if is_released else [Op.PUT, b"x", b""]
    locks.backend.store.write(operation)  # unknown to the hub
    locks.backend.hub.skipped_to(locks.backend.revision, 0.0)
    locks.backend.settle()
    assert has_lock(waiter) == is_released


def test_a_removal_that_fails_is_tried_again(locks: Locks) -> None:
    locks.lock(1)
    waiter = locks.lock(2)
    locks.backend.failures[Op.TXN] = [NoLeaderError(), NoLeaderError()]
    waiter.cancel()
    for _ in range(3):
        locks.backend.settle()
        locks.backend.fire_timers()
    assert set(locks.backend.keys(b"n/")) == {b"n/1"}


def test_a_removal_that_always_fails_is_given_up(locks: Locks) -> None:
    locks.lock(1)
    waiter = locks.lock(2)
    locks.backend.failures[Op.TXN] = [NoLeaderError() for _ in range(100)]
    waiter.cancel()
    for _ in range(20):
        locks.backend.settle()
        locks.backend.fire_timers()
    assert len(locks.backend.failures[Op.TXN]) == 100 - candidates.WITHDRAWAL_TRIES


def test_waiters_are_bounded(locks: Locks) -> None:
    locks.service = LockService(locks.backend, most_calls=1)
    locks.lock(1)
    waiter = locks.lock(2)
    with pytest.raises(OverloadedError):
        locks.start(3)
    waiter.cancel()
    locks.backend.settle()
    assert not has_lock(locks.lock(3))


Move = tuple[int, int]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 5)), max_size=60))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_never_two_at_a_time_and_all_in_the_end(tmp_path_factory: pytest.TempPathFactory, moves: list[Move]) -> None:
    locks = Locks(tmp_path_factory.mktemp("locks") / "replica")
    calls: dict[int, FakeExchange] = {}

    def holders() -> list[int]:
        return [lease for lease, call in calls.items() if has_lock(call)]

    def release(lease: int) -> None:
        if lease in calls and has_lock(calls[lease]):
            del calls[lease]
            locks.backend.run(Op.DELETE, b"n/%x" % lease)

    def leave(lease: int) -> None:
        if lease in calls and not calls[lease].is_over:
            calls.pop(lease).cancel()
            locks.backend.settle()  # a caller that comes back has to find its old key gone

    def join(lease: int) -> None:
        if lease not in calls:
            calls[lease] = locks.start(lease)

    actions: list[Callable[[int], object]] = [join, release, leave, lambda _: locks.backend.step()]
    for action, lease in moves:
        actions[action](lease)
        assert len(holders()) <= 1
    locks.backend.settle()
    while calls:
        assert len(holders()) == 1
        release(holders()[0])
        locks.backend.settle()
    assert (locks.backend.keys(b"n/"), locks.service.room.calls, locks.backend.hub.group_count) == ({}, 0, 0)
    locks.backend.close()
