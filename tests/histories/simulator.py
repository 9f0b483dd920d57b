"""Histories of a correct store: every operation happens at one random instant between its begin and its end.

Times are whole numbers of made-up seconds, so that many operations overlap, and some touch.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from random import Random

from .records import Answer, Operation
from .store import Action, Compare, Delete, Event, Get, Put, Store, Transaction

KEYS = (b"a", b"b", b"c")


@dataclass(frozen=True, slots=True)
class Simulated:
    """A history, and the log of the store that it was made with."""

    history: list[Operation]
    log: list[Event]


@dataclass(frozen=True, slots=True)
class _Planned:
    """An operation before its result is known. ``instant`` is inf where it never happens."""

    client: int
    action: Action
    begin: float
    instant: float
    end: float


def simulate(
    random: Random, *, clients: int = 3, operations: int = 6, unknown: float = 0.1, transactions: bool = True
) -> Simulated:
    """Runs a correct store under concurrent clients.

    Args:
        random: where all chance comes from.
        clients: each does one operation after the other.
        operations: of each client.
        unknown: share of operations whose outcome the client never learns; some of them happen, perhaps much later.
        transactions: whether there are some, on two keys.
    """
    plan = [
        planned for client in range(clients) for planned in _plan(random, client, operations, unknown, transactions)
    ]
    store = Store()
    history = []
    for planned in sorted(plan, key=lambda each: each.instant):
        answer = None
        if planned.instant != inf:
            effect = store.apply(planned.action)
            answer = Answer(store.revision, effect.result) if planned.end != inf else None
        history.append(Operation(planned.client, planned.action, planned.begin, planned.end, answer))
    return Simulated(sorted(history, key=lambda operation: operation.begin_s), store.log)


def _plan(random: Random, client: int, operations: int, unknown: float, transactions: bool) -> list[_Planned]:
    now = 0.0
    plan = []
    for number in range(operations):
        action = random_action(random, b"%d.%d" % (client, number), transactions)
        begin, instant, end = (now := now + random.randint(0, 3) for _ in range(3))
        if random.random() < unknown:
            instant, end = random.choice((instant, instant + 10, inf)), inf
        plan.append(_Planned(client, action, begin, instant, end))
    return plan


def random_action(random: Random, value: bytes, transactions: bool) -> Action:
    """An action on one key, or now and then on two; ``value`` is written by no other one."""
    key, other = random.sample(KEYS, 2)
    chance = random.random()
    if transactions and chance < 0.2:
        compare = Compare(key, "version", random.choice(("==", ">", "<")), random.randint(0, 2))
        return Transaction((compare,), (Put(key, value), Get(other)), (Get(key), Delete(other)))
    if chance < 0.55:
        return Put(key, value)
    return Delete(key) if chance < 0.65 else Get(key)
