"""Random histories with crashes, against a list: what was synced is there, and nothing there contradicts it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from log_cases import DIRECTORY, IDENTITY, entry, everything

from oarlock.storage.log import HardState, Log, LogFailedError, LogOptions, Position
from oarlock.storage.memory_disk import MemoryDisk
from oarlock.wire.entries import Entry


@dataclass(frozen=True)
class Model:
    """What a log holds: all entries since index 1 that count, of which those up to ``start`` are dropped."""

    start: Position
    hard_state: HardState
    entries: tuple[Entry, ...]

    @property
    def last(self) -> Position:
        return Position(self.entries[-1].index, self.entries[-1].term) if self.entries else self.start


def model_of(log: Log) -> Model:
    return Model(log.start, log.hard_state, tuple(everything(log)))


@dataclass
class History:
    """The states since the last sync; a crash may go back to any of them, as records are whole or gone."""

    states: list[Model] = field(default_factory=lambda: [Model(Position(0, 0), HardState(0, 0), ())])

    @property
    def now(self) -> Model:
        return self.states[-1]


class CrashingLog(RuleBasedStateMachine):
    """Drives a log on a disk that crashes."""

    def __init__(self) -> None:
        super().__init__()
        self.disk = MemoryDisk()
        self.options = LogOptions(segment_bytes=600, preallocate_bytes=0, cache_bytes=700)
        self.log = Log.create(DIRECTORY, self.disk, IDENTITY, self.options)
        self.history = History()

    def _new_entries(self, after: int, count: int, term: int, size: int) -> tuple[Entry, ...]:
        return tuple(entry(after + 1 + i, term, bytes([term % 256]) * size) for i in range(count))

    @rule(count=st.integers(0, 4), size=st.sampled_from([0, 1, 30, 700]), newer=st.booleans(), vote=st.integers(0, 3))
    def append(self, count: int, size: int, newer: bool, vote: int) -> None:
        now = self.history.now
        term = max(now.hard_state.term, now.last.term) + newer
        new = self._new_entries(now.last.index, count, term, size)
        self.log.append(new, HardState(term, vote))
        self.history.states.append(Model(now.start, HardState(term, vote), now.entries + new))

    @precondition(lambda self: self.history.now.entries)
    @rule(data=st.data(), count=st.integers(0, 3))
    def replace_suffix(self, data: st.DataObject, count: int) -> None:
        now = self.history.now
        first = data.draw(st.integers(now.start.index + 1, now.last.index + 1))
        term = max(now.hard_state.term, now.last.term) + 1
        new = self._new_entries(first - 1, count, term, 20)
        self.log.append(new, HardState(term, 0), truncate_from=first)
        kept = tuple(e for e in now.entries if e.index < first)
        self.history.states.append(Model(now.start, HardState(term, 0), kept + new))

    @rule()
    def sync(self) -> None:
        self.log.sync()
        self.history.states = [self.history.now]

    @precondition(lambda self: self.history.now.entries)
    @rule(data=st.data())
    def truncate_prefix(self, data: st.DataObject) -> None:
        now = self.history.now
        index = data.draw(st.integers(now.start.index + 1, now.last.index))
        self.log.truncate_prefix(index)
        start = next(Position(e.index, e.term) for e in now.entries if e.index == index)
        kept = tuple(e for e in now.entries if e.index > index)
        self.history.states = [Model(start, now.hard_state, kept)]

    @rule(beyond=st.integers(0, 50))
    def reset(self, beyond: int) -> None:
        now = self.history.now
        start = Position(now.last.index + beyond, now.last.term + 1)
        self.log.reset(*start)
        self.history.states = [Model(start, now.hard_state, ())]

    @rule()
    def stop_and_start(self) -> None:
        self.log.close()
        self.log = Log.open(DIRECTORY, self.disk, IDENTITY, self.options)
        assert self.log.torn_tail is None
        self.history.states = [self.history.now]

    @rule()
    def kill(self) -> None:
        self.log = Log.open(DIRECTORY, self.disk, IDENTITY, self.options)
        self.history.states = [self.history.now]

    @rule(seed=st.integers(0, 10_000), preallocate=st.sampled_from([0, 100, 2000]))
    def crash(self, seed: int, preallocate: int) -> None:
        self.disk = self.disk.crash(seed)
        self.options = LogOptions(segment_bytes=600, preallocate_bytes=preallocate, cache_bytes=700)
        self.log = Log.open(DIRECTORY, self.disk, IDENTITY, self.options)
        found = model_of(self.log)
        # Rotation syncs by itself, so that more than was asked for may be durable, but only whole states.
        assert found in self.history.states
        self.history.states = [found]

    @precondition(lambda self: self.history.now.entries)
    @rule(changes=st.integers(0, 12), seed=st.integers(0, 10_000), kind=st.sampled_from(["append", "drop", "reset"]))
    def crash_halfway(self, changes: int, seed: int, kind: str) -> None:
        now = self.history.now
        new = self._new_entries(now.last.index, 3, max(now.hard_state.term, now.last.term), 250)
        outcome = {
            "append": Model(now.start, now.hard_state, now.entries + new),
            "drop": Model(now.last, now.hard_state, ()),
            "reset": Model(Position(now.last.index + 9, now.last.term), now.hard_state, ()),
        }[kind]
        self.disk.changes_left = changes
        with suppress(LogFailedError):
            if kind == "append":
                self.log.append(new)
            elif kind == "drop":
                self.log.truncate_prefix(now.last.index)
            else:
                self.log.reset(*outcome.start)
        self.history.states.append(outcome)
        self.crash(seed, 0)

    @invariant()
    def log_is_the_newest_state(self) -> None:
        assert model_of(self.log) == self.history.now
        assert [self.log.term(e.index) for e in self.history.now.entries] == [e.term for e in self.history.now.entries]


TestCrashingLog = CrashingLog.TestCase
TestCrashingLog.settings = settings(max_examples=120, stateful_step_count=25, deadline=None)


@given(seed=st.integers(0, 1 << 30), sizes=st.lists(st.integers(0, 2000), min_size=1, max_size=8))
@settings(max_examples=100, deadline=None)
def test_long_unsynced_appends_are_lost_from_some_record_on(seed: int, sizes: list[int]) -> None:
    disk = MemoryDisk()
    log = Log.create(DIRECTORY, disk, IDENTITY, LogOptions(preallocate_bytes=1 << 16))
    new = [entry(index, payload=b"\xff" * size) for index, size in enumerate(sizes, 1)]
    for each in new:
        log.append([each])
    found = everything(Log.open(DIRECTORY, disk.crash(seed), IDENTITY))
    assert found == new[: len(found)]
