"""The sequential store that histories are checked against: a value, a state and an action give a result and events.

``evaluate`` changes nothing. A worked example::

    store = Store()
    effect = store.apply(Put(b"a", b"1"))      # events: a = 1 at revision 2, version 1
    store.apply(Get(b"a")).result              # Stored(b"1", create_revision=2, mod_revision=2, version=1)
    store.apply(Delete(b"x")).events           # (): nothing was there, and the revision stays 2

The first revision is 1, and the first write makes 2, as in etcd. All writes of one transaction share a revision.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from operator import eq, gt, lt, ne
from typing import Any, TypeAlias

FIRST_REVISION = 1
"""The revision of an empty store."""


@dataclass(frozen=True, slots=True, order=True)
class Stored:
    """What the store has under a key."""

    value: bytes
    create_revision: int
    mod_revision: int
    version: int


@dataclass(frozen=True, slots=True)
class Event:
    """One change of one key; ``stored`` is None where the key was deleted."""

    revision: int
    key: bytes
    stored: Stored | None


@dataclass(frozen=True, slots=True)
class Put:
    key: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class Get:
    """A serializable read may be behind, but never torn or from the future."""

    key: bytes
    serializable: bool = False


@dataclass(frozen=True, slots=True)
class Delete:
    key: bytes


@dataclass(frozen=True, slots=True)
class Compare:
    """``target`` is value, version, create_revision or mod_revision; ``relation`` is ==, !=, < or >."""

    key: bytes
    target: str
    relation: str
    operand: bytes | int


@dataclass(frozen=True, slots=True)
class Transaction:
    """No key may be written twice in one branch (etcd refuses it)."""

    compares: tuple[Compare, ...]
    success: tuple[Put | Get | Delete, ...]
    failure: tuple[Put | Get | Delete, ...] = ()


@dataclass(frozen=True, slots=True)
class TransactionResult:
    succeeded: bool
    results: tuple[Result, ...]


Simple: TypeAlias = Put | Get | Delete
Action: TypeAlias = Simple | Transaction
Result: TypeAlias = Stored | int | None
"""Of a get: what is stored, or None. Of a delete: how many keys went. Of a put: None."""
Outcome: TypeAlias = Result | TransactionResult
State: TypeAlias = Mapping[bytes, Stored]


@dataclass(frozen=True, slots=True)
class Effect:
    """What an action does to a state, and what it answers."""

    result: Outcome
    events: tuple[Event, ...]


RELATIONS: dict[str, Callable[[Any, Any], bool]] = {"==": eq, "!=": ne, "<": lt, ">": gt}
ABSENT = Stored(b"", 0, 0, 0)


def evaluate(state: State, revision: int, action: Action) -> Effect:
    """What ``action`` would do to ``state`` if its writes had ``revision``."""
    if isinstance(action, Transaction):
        succeeded = all(_holds(state, compare) for compare in action.compares)
        return _evaluate_branch(state, revision, succeeded, action.success if succeeded else action.failure)
    result, event = _evaluate_simple(state.get(action.key), revision, action)
    return Effect(result, () if event is None else (event,))


def _evaluate_branch(state: State, revision: int, succeeded: bool, branch: tuple[Simple, ...]) -> Effect:
    written: dict[bytes, Stored | None] = {}
    results, events = [], []
    for action in branch:
        before = written[action.key] if action.key in written else state.get(action.key)
        result, event = _evaluate_simple(before, revision, action)
        results.append(result)
        if event is not None:
            written[event.key] = event.stored
            events.append(event)
    return Effect(TransactionResult(succeeded, tuple(results)), tuple(events))


def _evaluate_simple(before: Stored | None, revision: int, action: Simple) -> tuple[Result, Event | None]:
    if isinstance(action, Get):
        return before, None
    if isinstance(action, Delete):
        return (0, None) if before is None else (1, Event(revision, action.key, None))
    created, version = (revision, 1) if before is None else (before.create_revision, before.version + 1)
    return None, Event(revision, action.key, Stored(action.value, created, revision, version))


def _holds(state: State, compare: Compare) -> bool:
    stored = state.get(compare.key)
    if stored is None and compare.target == "value":
        return False  # etcd: the value of a key that is not there compares equal to nothing, and unequal to nothing
    return RELATIONS[compare.relation](getattr(stored or ABSENT, compare.target), compare.operand)


def apply_events(state: dict[bytes, Stored], events: Iterable[Event]) -> None:
    """Brings ``state`` up to date with ``events``."""
    for event in events:
        if event.stored is None:
            del state[event.key]
        else:
            state[event.key] = event.stored


def keys_of(action: Action) -> frozenset[bytes]:
    """The keys that ``action`` may read or write."""
    if isinstance(action, Transaction):
        return frozenset(part.key for part in (*action.compares, *action.success, *action.failure))
    return frozenset({action.key})


def may_write(action: Action) -> bool:
    """Whether there is a state that ``action`` would change."""
    if isinstance(action, Transaction):
        return any(not isinstance(part, Get) for part in (*action.success, *action.failure))
    return not isinstance(action, Get)


def wrote(action: Action, outcome: Outcome) -> bool:
    """Whether ``action``, having answered ``outcome``, changed the store (and so has a revision of its own)."""
    if isinstance(outcome, TransactionResult):
        assert isinstance(action, Transaction)
        branch = action.success if outcome.succeeded else action.failure
        return any(wrote(part, result) for part, result in zip(branch, outcome.results, strict=True))
    return isinstance(action, Put) or (isinstance(action, Delete) and outcome == 1)


@dataclass(slots=True)
class Store:
    """A store that does one thing after the other. ``log`` holds the events of all revisions above 1, in order."""

    revision: int = FIRST_REVISION
    state: dict[bytes, Stored] = field(default_factory=dict)
    log: list[Event] = field(default_factory=list)

    def apply(self, action: Action) -> Effect:
        """Does ``action``, under the next revision if it changes anything."""
        effect = evaluate(self.state, self.revision + 1, action)
        if effect.events:
            self.revision += 1
            apply_events(self.state, effect.events)
            self.log.extend(effect.events)
        return effect
