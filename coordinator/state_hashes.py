"""Compares what the replicas became, of all workers of all members: two state hashes at one log index are corruption.

Worked example, three members with a worker each, which report at index 1024::

    report(1, a, 1024, x)   None
    report(2, b, 1024, y)   None: two members differ, and nobody can say yet who is wrong
    report(3, c, 1024, x)   Verdict(1024, (2,)): members 1 and 3 are most of the three
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from typing import Final, NamedTuple

from oarlock.wire import metrics

MAX_INDEXES: Final = 1024
"""Indexes whose hashes are remembered; replicas are never further apart when all are well."""
MAX_REPORTS: Final = 256
"""Replicas that may report at one index: more than the workers of any cluster."""

_mismatches = metrics.counter("oarlock_state_hash_mismatches_total", "Log indexes at which state hashes differ.")


class Verdict(NamedTuple):
    """At ``index`` the replicas differ. ``members`` are those that most others contradict; none where nobody can say
    who is wrong."""

    index: int  # type: ignore[assignment]  # shadows tuple.index, which nobody wants of this
    members: tuple[int, ...]


class StateHashes:
    """Remembers who reported which hash at which index, for the newest ``MAX_INDEXES`` indexes.

    Invariant: a verdict is given once an index at most.
    """

    def __init__(self) -> None:
        self._seen: OrderedDict[int, dict[tuple[int, bytes], bytes]] = OrderedDict()
        self._judged: OrderedDict[int, None] = OrderedDict()

    def report(
        self, member: int, worker: bytes, index: int, state_hash: bytes, everyone: Collection[int]
    ) -> Verdict | None:
        """Takes a report.

        Args:
            member: whose replica it is.
            worker: which one of that member.
            index: the log index that the replica had applied.
            state_hash: the hash then.
            everyone: the members of the cluster.

        Returns:
            What follows, once it is clear: when most members agree against the rest, or all have been heard.
        """
        reports = self._seen.setdefault(index, {})
        if len(self._seen) > MAX_INDEXES:
            self._seen.popitem(last=False)
        if len(reports) < MAX_REPORTS:
            reports[member, worker] = state_hash
        if index in self._judged or len(set(reports.values())) < 2:
            return None
        return self._judge(index, reports, everyone)

    def _judge(self, index: int, reports: dict[tuple[int, bytes], bytes], everyone: Collection[int]) -> Verdict | None:
        hashes_of: dict[int, set[bytes]] = {}
        for (member, _), state_hash in reports.items():
            hashes_of.setdefault(member, set()).add(state_hash)
        for right in set(reports.values()):
            agreeing = [member for member, hashes in hashes_of.items() if hashes == {right}]
            if len(agreeing) * 2 > len(everyone):
                return self._give(Verdict(index, tuple(sorted(hashes_of.keys() - set(agreeing)))))
        if hashes_of.keys() >= set(everyone):
            divided = [member for member, hashes in hashes_of.items() if len(hashes) > 1]
            return self._give(Verdict(index, tuple(sorted(divided))))
        return None

    def _give(self, verdict: Verdict) -> Verdict:
        _mismatches.inc()
        self._judged[verdict.index] = None
        if len(self._judged) > MAX_INDEXES:
            self._judged.popitem(last=False)
        return verdict
