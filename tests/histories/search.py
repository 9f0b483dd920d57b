"""The slow check: looks for an order by itself, and believes no revision.

The search of Wing and Gong (1993) as Lowe (2017) made it practical: pick an operation that no other has to precede,
apply it to the state, go on, and turn back where a result does not fit; a pair of (operations done, state) that
failed once is not tried again. Linearizability is local (Herlihy and Wing 1990): keys that no transaction ties
together are checked on their own, and so each search stays small.

Values and versions take part, revisions do not. Histories should write every value once, or there is little to check.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypeAlias

from .records import Operation, UndecidableError, ViolationError
from .store import Outcome, Stored, Transaction, TransactionResult, apply_events, evaluate, keys_of, may_write

MAX_STEPS = 200_000
"""States that a search may visit for one group of keys: a few seconds, and memory in the tens of MB."""

_Frozen: TypeAlias = tuple[tuple[bytes, Stored], ...]


def check_search(history: Iterable[Operation], max_steps: int = MAX_STEPS) -> None:
    """Checks a history that began with an empty store. Serializable reads are left out: they promise no order.

    Args:
        history: the operations of all clients, in any order.
        max_steps: states to visit at most for one group of keys.

    Raises:
        ViolationError: there is no order that explains the answers.
        UndecidableError: ``max_steps`` were not enough.
        ValueError: a transaction compares revisions, which this check knows nothing of.
    """
    for group in groups(operation for operation in history if not operation.serializable):
        _Search(group).run(max_steps)


def groups(history: Iterable[Operation]) -> list[list[Operation]]:
    """The operations, parted so that no two parts share a key."""
    operations = list(history)
    parent: dict[bytes, bytes] = {}

    def root(key: bytes) -> bytes:
        while parent.setdefault(key, key) != key:
            parent[key] = key = parent[parent[key]]
        return key

    for operation in operations:
        first, *others = map(root, keys_of(operation.action))
        for other in others:
            parent[root(other)] = root(first)
    parts: dict[bytes, list[Operation]] = defaultdict(list)
    for operation in operations:
        parts[root(next(iter(keys_of(operation.action))))].append(operation)
    return list(parts.values())


def without_revisions(outcome: Outcome) -> Outcome:
    """``outcome`` with all revisions 0, as the search computes it."""
    if isinstance(outcome, TransactionResult):
        return replace(outcome, results=tuple(map(_without_revision, outcome.results)))
    return _without_revision(outcome)


def _without_revision(result: Stored | int | None) -> Stored | int | None:
    return replace(result, create_revision=0, mod_revision=0) if isinstance(result, Stored) else result


class _Search:
    """The search over one group. Operations are numbered by their begin; a set of them is an int, a bit each."""

    def __init__(self, group: Sequence[Operation]) -> None:
        self._operations = sorted(
            (op for op in group if op.answer is not None or may_write(op.action)), key=lambda op: op.begin_s
        )
        self._expected = [
            without_revisions(op.answer.result) if op.answer is not None else None for op in self._operations
        ]
        self._must = sum(1 << number for number, op in enumerate(self._operations) if op.answer is not None)
        for operation in self._operations:
            _refuse_revisions(operation)

    def run(self, max_steps: int) -> None:
        """Depth first, with the stack in a list. Every node is (done, state, first number that is not done)."""
        stack: list[tuple[int, _Frozen]] = [(0, ())]
        seen: set[tuple[int, _Frozen]] = set(stack)
        furthest = 0
        while stack:
            done, state = stack.pop()
            if done & self._must == self._must:
                return
            if len(seen) > max_steps:
                raise UndecidableError(f"no answer for {len(self._operations)} operations after {max_steps} steps")
            furthest = max(furthest, done, key=lambda mask: (mask & self._must).bit_count())
            for node in self._next(done, state):
                if node not in seen:
                    seen.add(node)
                    stack.append(node)
        stuck = [op for number, op in enumerate(self._operations) if not furthest >> number & 1 and op.answer]
        raise ViolationError(f"no order explains the answers; the best one is stuck before one of {stuck[:4]}")

    def _next(self, done: int, state: _Frozen) -> list[tuple[int, _Frozen]]:
        """The nodes after this one.

        An answered operation that fits and changes nothing is taken at once, and alone: any order that has it later
        is as good with it here.
        """
        nodes = []
        current = dict(state)
        for number in self._candidates(done):
            effect = evaluate(current, 0, self._operations[number].action)
            is_known = bool(self._must >> number & 1)
            if is_known and effect.result != self._expected[number]:
                continue
            taken = done | 1 << number
            if effect.events:
                after = dict(current)
                apply_events(after, effect.events)
                nodes.append((taken, tuple(sorted(after.items()))))
            elif is_known:
                return [(taken, state)]
        return nodes[::-1]  # so that the one that began first is popped first

    def _candidates(self, done: int) -> list[int]:
        """The operations not done that no other one not done precedes."""
        candidates = []
        earliest_end = float("inf")
        first = (~done & (done + 1)).bit_length() - 1
        for number in range(first, len(self._operations)):
            if done >> number & 1:
                continue
            operation = self._operations[number]
            if operation.begin_s > earliest_end:
                break
            earliest_end = min(earliest_end, operation.end_s)
            candidates.append(number)
        return candidates


def _refuse_revisions(operation: Operation) -> None:
    if isinstance(operation.action, Transaction):
        for compare in operation.action.compares:
            if compare.target not in ("value", "version"):
                raise ValueError(f"{compare}: the search compares values and versions only")
