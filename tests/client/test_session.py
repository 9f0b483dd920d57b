"""The session: numbers, batches, repetition and deadlines, without a socket."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oarlock.link import LinkState
from oarlock.pending import Completion
from oarlock.session import MAX_MESSAGE_BYTES, MAX_PENDING, MAX_SILENCE_S, PING_AFTER_S, Session
from oarlock.settings import Settings
from oarlock.wire.errors import (
    ClosedError,
    ConnectionFailedError,
    LeaderChangedError,
    LearnerRefusesError,
    LeaseNotFoundError,
    NoLeaderError,
    OarlockError,
    OutcomeUnknownError,
    OverloadedError,
    ProtocolError,
    StoppedError,
    TimeoutError,
)
from oarlock.wire.frames import pack, pack_error, unpack
from oarlock.wire.operations import Op

HELLO = {"protocol": 1, "cluster_id": 7, "member_id": 8, "incarnation": 9, "watch_endpoint": "tcp://*:1"}


class Bench:
    """A session, and the hands that work it."""

    def __init__(self, *endpoints: str, position: int = 0) -> None:
        self.session = Session(Settings(endpoints or ("a:1",), 5.0, 2.0, "test"), 42, lambda: 0.0)
        self.now = 0.0
        self.position = position
        self.errors: dict[Any, OarlockError] = {}
        self.results: dict[Any, Any] = {}

    def take(self, completions: list[Completion]) -> None:
        for waiter, result, error in completions:
            assert waiter not in self.results
            assert waiter not in self.errors
            if error is None:
                self.results[waiter] = result
            else:
                self.errors[waiter] = error

    def ask(self, waiter: str, op: int = Op.PUT, timeout_s: float = 5.0) -> None:
        self.session.request(op, (b"k", b"v"), None, waiter, self.now + timeout_s)

    def sent(self) -> list[list[Any]]:
        messages, failed = self.session.outgoing(self.now)
        self.take(failed)
        return [unpack(message) for message in messages]

    def reply(self, *replies: list[Any]) -> None:
        self.take(self.session.receive(pack([3, self.position, list(replies)]), self.now))

    def connect(self, **hello: Any) -> None:
        self.now = max(self.now, self.session.link.retry_at)
        assert self.session.link.should_open(self.now)
        self.session.opened(self.now)
        self.session.connected(self.now)
        ((_, _, since, _, ((number, op, *_),)),) = self.sent()
        assert (op, since) == (Op.HELLO, 0)
        self.reply([number, 5, {**HELLO, **hello}])

    def lose(self) -> None:
        self.session.lost(self.now, "test")

    def tick(self, seconds: float) -> None:
        self.now += seconds
        self.take(self.session.tick(self.now))


@pytest.fixture
def bench() -> Bench:
    bench = Bench(position=9)
    bench.connect()
    return bench


def test_what_is_asked_together_travels_together(bench: Bench) -> None:
    bench.ask("a")
    bench.ask("b")
    ((client_id, floor, since, timeout_ms, requests),) = bench.sent()
    assert (client_id, since, timeout_ms) == (42, 0, 5000)
    assert [request[0] for request in requests] == [floor, floor + 1]
    bench.reply([floor + 1, 6, "for b"], [floor, 7, "for a"])
    assert bench.results == {"a": "for a", "b": "for b"}
    assert bench.session.revision == 7


def test_messages_are_bounded_in_number_and_bytes(bench: Bench) -> None:
    for number in range(40):
        bench.session.request(Op.PUT, (b"k", bytes(100_000)), None, str(number), 5.0)
    messages = bench.sent()
    numbers = [request[0] for message in messages for request in message[4]]
    assert numbers == sorted(numbers)
    assert len(numbers) == 40
    assert all(len(pack(message)) <= MAX_MESSAGE_BYTES for message in messages)
    assert len(messages) > 1


def test_what_cannot_be_packed_fails_alone(bench: Bench) -> None:
    bench.ask("good")
    bench.session.request(Op.PUT, (object(),), None, "bad", 5.0)
    bench.ask("good too")
    assert sum(len(message[4]) for message in bench.sent()) == 2
    assert isinstance(bench.errors["bad"], ProtocolError)


def test_the_floor_is_the_lowest_number_that_is_awaited(bench: Bench) -> None:
    for name in "abc":
        bench.ask(name)
    first = bench.sent()[0][4][0][0]
    bench.reply([first, 1, None], [first + 2, 1, None])
    bench.ask("d")
    assert bench.sent()[0][1] == first + 1
    bench.reply([first + 1, 1, None])
    bench.ask("e")
    assert bench.sent()[0][1] == first + 3


def test_after_a_loss_a_write_is_sent_again_with_the_position_before_its_first_sending(bench: Bench) -> None:
    bench.ask("a")
    first = bench.sent()[0][4]
    bench.position = 20
    bench.reply()  # an answer to nothing, but the position is 20 now
    bench.ask("b")
    bench.sent()
    bench.lose()
    bench.ask("c")
    assert bench.sent() == []
    bench.connect()
    again, fresh = bench.sent()
    assert again[2] == 9
    assert again[4][0] == first[0]
    assert len(again[4]) == 2
    assert (fresh[2], len(fresh[4])) == (0, 1)


def test_a_repetition_never_looks_like_a_first_sending() -> None:
    bench = Bench(position=0)
    bench.connect()
    bench.ask("a")
    bench.sent()
    bench.lose()
    bench.connect()
    assert bench.sent()[0][2] > 0


@pytest.mark.parametrize("op", [Op.DEFRAGMENT, Op.MEMBER_ADD, Op.MEMBER_REMOVE, Op.MOVE_LEADER])
def test_what_must_not_be_repeated_is_not(bench: Bench, op: Op) -> None:
    bench.ask("once", op)
    bench.sent()
    bench.lose()
    bench.connect()
    assert bench.sent() == []
    bench.tick(6)
    assert isinstance(bench.errors["once"], OutcomeUnknownError)


@pytest.mark.parametrize("refusal", [NoLeaderError(), OverloadedError(detail=100)])
def test_a_refusal_is_asked_again_after_a_pause(bench: Bench, refusal: OarlockError) -> None:
    bench.ask("a")
    ((_, _, _, _, ((number, *_),)),) = bench.sent()
    bench.reply(pack_error(number, refusal))
    assert bench.sent() == []
    bench.tick(0.2)
    (again,) = bench.sent()
    assert again[4][0][0] == number
    assert again[2] == 9
    bench.reply([number, 5, "done"])
    assert bench.results == {"a": "done"}


def test_a_refusal_that_lasts_is_the_error(bench: Bench) -> None:
    bench.ask("a", timeout_s=0.2)
    for _ in range(50):
        for message in bench.sent():
            bench.reply(*(pack_error(request[0], NoLeaderError()) for request in message[4]))
        bench.tick(0.01)
    assert isinstance(bench.errors["a"], NoLeaderError)


def test_a_refusal_after_a_lost_answer_leaves_the_outcome_unknown(bench: Bench) -> None:
    bench.ask("a")
    number = bench.sent()[0][4][0][0]
    bench.lose()
    bench.connect()
    bench.sent()
    bench.reply(pack_error(number, NoLeaderError()))
    bench.now = 4.999
    bench.tick(0.001)
    assert isinstance(bench.errors["a"], OutcomeUnknownError)


@pytest.mark.parametrize("refusal", [LeaderChangedError(), TimeoutError()])
def test_a_write_whose_fate_the_server_does_not_know_is_unknown(bench: Bench, refusal: OarlockError) -> None:
    bench.ask("write")
    bench.ask("read", Op.RANGE)
    ((*_, requests),) = bench.sent()
    bench.reply(*(pack_error(request[0], refusal) for request in requests))
    bench.tick(5.0)
    assert type(bench.errors["write"]) is OutcomeUnknownError
    assert type(bench.errors["read"]) is type(refusal)


def test_a_worker_that_stops_is_left(bench: Bench) -> None:
    bench.ask("a")
    number = bench.sent()[0][4][0][0]
    bench.reply(pack_error(number, StoppedError()))
    assert bench.session.link.state is LinkState.DOWN
    bench.connect()
    bench.tick(0.5)
    assert bench.sent()[0][4][0][0] == number


def test_a_member_without_a_leader_is_left_for_another() -> None:
    bench = Bench("a:1", "b:1")
    bench.connect()
    first = bench.session.link.endpoint
    bench.ask("a")
    bench.sent()
    bench.reply(pack_error(0, NoLeaderError()))
    assert bench.session.link.state is LinkState.DOWN
    bench.connect()
    assert bench.session.link.endpoint != first
    [message] = bench.sent()
    assert message[4][0][1] == Op.PUT


def test_what_no_member_can_do_without_a_leader_ends_with_a_time_out() -> None:
    bench = Bench("a:1", "b:1")
    bench.connect()
    bench.ask("write")
    bench.ask("read", Op.RANGE)
    bench.sent()
    bench.reply(pack_error(0, NoLeaderError()))
    bench.tick(5.0)
    assert type(bench.errors["read"]) is TimeoutError
    assert isinstance(bench.errors["write"], TimeoutError)
    assert isinstance(bench.errors["write"], OutcomeUnknownError)


def test_a_member_without_a_leader_is_kept_where_there_is_no_other() -> None:
    bench = Bench("a:1")
    bench.connect()
    bench.ask("a")
    bench.sent()
    bench.reply(pack_error(0, NoLeaderError()))
    assert bench.session.link.state is LinkState.READY


def test_what_the_lost_connection_did_not_answer_can_go_as_soon_as_the_next_greets() -> None:
    bench = Bench("a:1", "b:2")
    bench.connect()
    bench.ask("write")
    bench.sent()
    bench.lose()
    bench.connect()
    assert bench.session.wants_to_send


def test_a_learner_is_left_for_another_endpoint_and_each_request_goes_again_once() -> None:
    bench = Bench("a:1", "b:2")
    bench.connect()
    learner = bench.session.link.endpoint
    bench.ask("write")
    bench.ask("read", Op.RANGE)
    ((*_, requests),) = bench.sent()
    bench.reply(*(pack_error(request[0], LearnerRefusesError()) for request in requests))
    assert bench.session.link.state is LinkState.DOWN
    assert bench.session.link.endpoint != learner
    bench.connect()
    bench.tick(0.5)
    again = [request[0] for message in bench.sent() for request in message[4]]
    assert sorted(again) == [request[0] for request in requests]
    assert not bench.errors


def test_the_refusal_of_a_learner_is_final_where_there_is_nobody_else(bench: Bench) -> None:
    bench.ask("a", Op.RANGE)
    bench.reply(pack_error(bench.sent()[0][4][0][0], LearnerRefusesError()))
    assert type(bench.errors["a"]) is LearnerRefusesError


def test_other_errors_are_final_and_keep_class_and_detail(bench: Bench) -> None:
    bench.ask("a")
    bench.reply(pack_error(bench.sent()[0][4][0][0], LeaseNotFoundError(detail=3)))
    assert isinstance(bench.errors["a"], LeaseNotFoundError)
    assert bench.errors["a"].detail == 3


def test_what_the_store_says_of_a_write_that_was_sent_twice_is_its_outcome(bench: Bench) -> None:
    bench.ask("a")
    number = bench.sent()[0][4][0][0]
    bench.lose()
    bench.connect()
    bench.sent()
    bench.reply(pack_error(number, LeaseNotFoundError()))
    assert isinstance(bench.errors["a"], LeaseNotFoundError)


def test_deadlines() -> None:
    bench = Bench()
    bench.ask("nobody there", timeout_s=1)
    bench.tick(1)
    assert isinstance(bench.errors["nobody there"], ConnectionFailedError)
    bench.connect()
    bench.ask("read", Op.RANGE, timeout_s=1)
    bench.ask("write", Op.PUT, timeout_s=1)
    bench.ask("later", Op.PUT, timeout_s=3)
    bench.sent()
    assert bench.session.wakeup_at <= bench.now + 1
    bench.tick(1)
    assert type(bench.errors["read"]) is TimeoutError
    assert isinstance(bench.errors["write"], OutcomeUnknownError)
    assert "later" not in bench.errors


def test_an_answer_after_the_deadline_is_dropped(bench: Bench) -> None:
    bench.ask("a", timeout_s=1)
    number = bench.sent()[0][4][0][0]
    bench.tick(1)
    bench.reply([number, 6, None])
    assert list(bench.errors) == ["a"]
    assert bench.results == {}


def test_a_silent_connection_is_pinged_and_then_left(bench: Bench) -> None:
    bench.ask("a", Op.RANGE, timeout_s=60)
    bench.sent()
    bench.tick(PING_AFTER_S)
    assert bench.sent()[0][4][0][1] == Op.HELLO
    bench.tick(MAX_SILENCE_S - PING_AFTER_S)
    assert bench.session.link.state is LinkState.DOWN
    bench.connect()
    assert bench.sent()[0][4][0][1] == Op.RANGE


def test_an_answered_ping_keeps_the_connection(bench: Bench) -> None:
    bench.ask("long", Op.HASH_KV, timeout_s=60)
    bench.sent()
    for _ in range(10):
        bench.tick(PING_AFTER_S)
        bench.reply([bench.sent()[0][4][0][0], 5, HELLO])
    assert bench.session.link.state is LinkState.READY


def test_an_idle_connection_is_left_alone(bench: Bench) -> None:
    bench.tick(1000)
    bench.ask("a")
    bench.sent()
    bench.tick(0.1)
    assert bench.session.link.state is LinkState.READY


@pytest.mark.parametrize("hello", [{"cluster_id": 1}, {"protocol": 2}])
def test_another_cluster_or_protocol_is_refused_and_named(bench: Bench, hello: dict[str, int]) -> None:
    bench.lose()
    bench.connect(**hello)
    assert bench.session.link.state is LinkState.DOWN
    assert "cluster 1" in str(bench.session.unreachable()) or "version 2" in str(bench.session.unreachable())


def test_an_endpoint_that_does_not_greet_is_followed_by_the_next() -> None:
    bench = Bench("a:1", "b:2")
    bench.session.opened(0)
    bench.session.connected(0)
    bench.tick(2)
    assert bench.session.link.endpoint == "b:2"
    bench.connect()
    assert bench.session.link.state is LinkState.READY


def test_close_ends_what_is_pending(bench: Bench) -> None:
    bench.ask("a")
    bench.take(bench.session.close())
    assert isinstance(bench.errors["a"], ClosedError)


def test_pending_requests_are_bounded(bench: Bench) -> None:
    for _ in range(MAX_PENDING):
        bench.ask("a")
    with pytest.raises(OverloadedError):
        bench.ask("b")


json_like = st.recursive(
    st.none() | st.integers(-5, 1 << 40) | st.binary(max_size=5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


@given(st.binary(max_size=40) | json_like.map(pack) | st.lists(json_like, max_size=3).map(lambda r: pack([1, 1, r])))
def test_nonsense_from_the_server_costs_the_connection_at_most(frame: bytes) -> None:
    bench = Bench()
    bench.connect()
    bench.ask("a", Op.RANGE)
    bench.sent()
    bench.take(bench.session.receive(frame, bench.now))
    bench.tick(6)
    assert {*bench.results, *bench.errors} == {"a"}


@given(st.integers(0, 1 << 30), st.lists(st.sampled_from(["ask", "lose", "lose reply", "serve", "serve"]), max_size=60))
def test_a_deduplicating_server_applies_each_write_once(seed: int, steps: list[str]) -> None:
    """Whatever is lost: who got an answer, had his write applied exactly once."""
    bench, known, asked = Bench(), {}, 0
    bench.connect()
    for step in [*steps, "lose", "serve"]:
        if step == "ask":
            asked += 1
            bench.ask(str(asked), timeout_s=1e6)
        elif step == "lose":
            bench.sent()
            bench.lose()
            bench.connect()
        else:
            for _, floor, _, _, requests in bench.sent():
                assert all(request[0] >= floor for request in requests)
                for request in requests:
                    known.setdefault(request[0], len(known) + 2)
                if step == "serve":
                    bench.reply(*([request[0], known[request[0]], None] for request in requests))
    assert len(bench.results) == asked == len(known)
