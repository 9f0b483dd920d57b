"""The judges of a soak find what they are for."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.histories.records import ViolationError
from tests.histories.store import Stored

from .account import MARK_REVISIONS, Account, Marks
from .doors import Change
from .usage import MIB, Level, check_level

A2 = Change(2, b"a", b"1", 2, 1)
A3 = Change(3, b"a", b"2", 2, 2)
B3 = Change(3, b"b", b"2", 3, 1)
A4 = Change(4, b"a", None, 0, 0)
A5 = Change(5, b"a", b"3", 5, 1)


def account() -> Account:
    return Account("watch", Marks(1))


def told(*batches: Sequence[Change]) -> Account:
    made = account()
    for batch in batches:
        made.take(list(batch))
    return made


def test_an_account_follows_what_is_right() -> None:
    store = told([A2], [A3, B3, A4], [A5])
    assert store.state == {b"a": Stored(b"3", 5, 5, 1), b"b": Stored(b"2", 3, 3, 1)}
    assert store.since(3, b"a", b"b") == [A3, A4, A5]


@pytest.mark.parametrize(
    "batches",
    [
        pytest.param([[A3]], id="the first is missing"),
        pytest.param([[A2], [A4]], id="a revision is missing"),
        pytest.param([[A2], [A2]], id="twice"),
        pytest.param([[A2, A3], [A3]], id="a revision in two parts"),
        pytest.param([[A2], [A4, A3]], id="out of order"),
        pytest.param([[A2], [B3], [Change(4, b"b", b"x", 3, 3)]], id="a version is missing"),
        pytest.param([[A2], [B3], [Change(4, b"c", None, 0, 0)]], id="a delete of nothing"),
        pytest.param([[A2], [A3], [A4], [Change(5, b"a", b"3", 2, 3)]], id="created before it was deleted"),
    ],
)
def test_an_account_refuses_what_no_store_tells(batches: Sequence[Sequence[Change]]) -> None:
    with pytest.raises(ViolationError):
        told(*batches)


@pytest.mark.parametrize("written", [{b"a": b"other"}, {b"a": None}, {b"b": b"1"}, {b"a": b"1", b"b": b"1"}])
def test_a_writer_and_a_watch_that_were_told_different_things_are_found(written: dict[bytes, bytes | None]) -> None:
    seen_first, answered_first = told([A2]), account()
    with pytest.raises(ViolationError):
        seen_first.promise(2, written)
    answered_first.promise(2, written)
    with pytest.raises(ViolationError):
        answered_first.take([A2])


def test_what_was_promised_waits_until_it_is_seen() -> None:
    store = account()
    store.promise(2, {b"a": b"1"})
    assert store.promised
    store.take([A2])
    store.promise(2, {b"a": b"1"})
    assert not store.promised


def test_two_writers_with_one_revision_are_found() -> None:
    store = account()
    store.promise(2, {b"a": b"1"})
    with pytest.raises(ViolationError):
        store.promise(2, {b"a": b"1"})


def test_watches_that_saw_different_things_are_found() -> None:
    marks = Marks(2)
    first, second = Account("first", marks), Account("second", marks)
    changes = [Change(revision, b"a", b"x", 2, revision - 1) for revision in range(2, MARK_REVISIONS + 1)]
    first.take(changes)
    with pytest.raises(ViolationError):
        second.take([*changes[:-1], changes[-1]._replace(value=b"y")])


def points(*sizes_mib: float) -> list[tuple[float, int]]:
    return [(10.0 * number, int(size * MIB)) for number, size in enumerate(sizes_mib)]


LEVEL = Level(share=0.05, bytes=MIB)


def test_what_rises_first_and_levels_off_is_accepted() -> None:
    check_level("memory", LEVEL, points(*(min(number * 2, 80) for number in range(100))))


def test_a_saw_tooth_is_accepted() -> None:
    check_level("data", LEVEL, points(*(100 + number % 7 * 5 for number in range(100))))


def test_a_single_step_is_no_trend() -> None:
    check_level("memory", LEVEL, points(*([100] * 90 + [120] * 10)))


@pytest.mark.parametrize("tooth", [0, 20])
def test_what_goes_on_growing_is_refused(tooth: int) -> None:
    with pytest.raises(AssertionError, match="memory still grows by 72"):
        check_level("memory", LEVEL, points(*(100 + number * 0.2 + (number % 2) * tooth for number in range(100))))


def test_too_few_samples_say_nothing() -> None:
    with pytest.raises(AssertionError, match="too few"):
        check_level("memory", LEVEL, points(100, 100, 100))
