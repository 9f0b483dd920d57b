"""Questions to the coordinator, one by one: statuses and membership."""

from __future__ import annotations

from typing import Any

import pytest

from oarlock.wire.errors import LeaderChangedError, MemberNotFoundError, ProtocolError, TimeoutError
from oarlock.wire.frames import pack_error
from oarlock.wire.internal import Internal
from oarlock.wire.operations import MAX_PEER_URLS, Op
from oarlock.workers.questions import Questions
from oarlock.workers.validation import Limits, check_request


class Link:
    """Remembers what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def ask_members(self, *question: Any) -> None:
        self.asked.append(question)

    def ask_status(self, number: int) -> None:
        self.asked.append((number,))


class Caller:
    def __init__(self) -> None:
        self.answers: list[Any] = []

    def answer(self, item: Any) -> None:
        self.answers.append(item)


@pytest.fixture
def link() -> Link:
    return Link()


@pytest.fixture
def questions(link: Link) -> Questions:
    return Questions(link)  # type: ignore[arg-type]


@pytest.fixture
def caller() -> Caller:
    return Caller()


def test_each_caller_gets_its_own_answer_at_revision_0(questions: Questions, link: Link, caller: Caller) -> None:
    other = Caller()
    questions.members(caller, 7, 5.0, "remove", [1])
    questions.members(other, 8, 5.0, "list", [True])
    (first, *remove), (second, *listing) = link.asked
    assert (remove, listing) == (["remove", [1]], ["list", [True]])
    questions.answered([Internal.MEMBERS, second, [["m"]]])
    questions.answered([Internal.MEMBERS, first, None])
    assert (caller.answers, other.answers) == ([[7, 0, None]], [[8, 0, [["m"]]]])


def test_a_refusal_is_passed_on(questions: Questions, link: Link, caller: Caller) -> None:
    questions.members(caller, 7, 5.0, "remove", [1])
    problem = MemberNotFoundError()
    questions.answered([Internal.MEMBERS, link.asked[0][0], -int(problem.code), problem.message, 0])
    assert caller.answers == [pack_error(7, problem)]


def test_an_answer_that_comes_too_late_is_forgotten(questions: Questions, link: Link, caller: Caller) -> None:
    questions.members(caller, 7, 5.0, "promote", [1])
    questions.give_up_overdue(4.9)
    assert caller.answers == []
    questions.give_up_overdue(5.0)
    questions.answered([Internal.MEMBERS, link.asked[0][0], []])
    assert caller.answers == [pack_error(7, TimeoutError())]


def test_another_coordinator_knows_of_no_question(questions: Questions, link: Link, caller: Caller) -> None:
    questions.members(caller, 7, 5.0, "promote", [1])
    questions.status(caller, 8, 5.0, lambda status: [8, 1, status])
    questions.coordinator_changed()
    assert caller.answers == [pack_error(7, LeaderChangedError()), pack_error(8, LeaderChangedError())]
    questions.answered([Internal.STATUS, link.asked[1][0], {}])
    assert len(caller.answers) == 2


GOOD: list[list[Any]] = [
    [Op.MEMBER_LIST],
    [Op.MEMBER_LIST, False],
    [Op.MEMBER_ADD, "", ["anything"], True],
    [Op.MEMBER_REMOVE, 2**64 - 1],
    [Op.MEMBER_UPDATE, 1, []],
    [Op.MEMBER_PROMOTE, 1],
    [Op.MOVE_LEADER, 1],
]
BAD: list[list[Any]] = [
    [Op.MEMBER_LIST, 1],
    [Op.MEMBER_ADD, "", ["u"]],
    [Op.MEMBER_ADD, "", ["u"], 1],
    [Op.MEMBER_ADD, b"", ["u"], True],
    [Op.MEMBER_ADD, "", "u", True],
    [Op.MEMBER_ADD, "", [b"u"], True],
    [Op.MEMBER_ADD, "", ["u"] * (MAX_PEER_URLS + 1), True],
    [Op.MEMBER_REMOVE],
    [Op.MEMBER_REMOVE, -1],
    [Op.MEMBER_REMOVE, 2**64],
    [Op.MEMBER_UPDATE, 1, None],
    [Op.MEMBER_PROMOTE, "1"],
    [Op.MOVE_LEADER, 1, 2],
]


@pytest.mark.parametrize("request_", GOOD, ids=str)
def test_well_formed_requests_pass(request_: list[Any]) -> None:
    check_request([1, int(request_[0]), *request_[1:]], Limits())


@pytest.mark.parametrize("request_", BAD, ids=str)
def test_malformed_requests_are_refused(request_: list[Any]) -> None:
    with pytest.raises(ProtocolError) as raised:
        check_request([1, int(request_[0]), *request_[1:]], Limits())
    assert "unknown operation" not in raised.value.message
