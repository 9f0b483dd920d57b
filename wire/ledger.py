"""The ledger of proposals: a worker's batch is applied once, and in order, however often it reaches the log.

Every worker incarnation numbers its batches from 1. An entry counts only if its number is the next one of its
incarnation; anything else is passed over, by every replica alike. A worker that does not see its batch committed
proposes it again, and all that follow it, in order. Whoever follows the log keeps such a ledger: each replica, and the
coordinator for its lessor.

Worked example (incarnation 7 proposes batches 1, 2, 3; the second is lost on the way)::

    admit(7, 1, index=10)  True
    admit(7, 3, index=11)  False: 2 is missing
    admit(7, 2, index=12)  True
    admit(7, 2, index=13)  False: seen
    admit(7, 3, index=14)  True: it was proposed again behind 2
"""

from __future__ import annotations

from typing import Any, Final

from oarlock.wire.errors import ProtocolError

LEDGER_WINDOW_ENTRIES: Final = 1_000_000
"""An incarnation that added nothing for so many entries is forgotten. A living worker that is silent for so long while
others fill the log takes a new incarnation before it proposes again; so the ledger holds no more incarnations than
there are entries in the window, in practice a few for each worker of the cluster."""


class ProposalLedger:
    """Which batch of each incarnation was applied last, and at which log index.

    Invariants:
    1. A function of the log alone: two ledgers that saw the same entries admit the same, whenever each forgets.
    2. Incarnations are in the order of their last index, so that those to forget are in front.
    """

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last: dict[int, tuple[int, int]] = {}

    def admit(self, incarnation: int, batch: int, index: int) -> bool:
        """Whether the entry counts; if so, it is noted.

        Args:
            incarnation: of the worker, positive.
            batch: its number, from 1.
            index: the entry's place in the log, above that of every entry before.
        """
        if not self.would_admit(incarnation, batch, index):
            return False
        self._last.pop(incarnation, None)
        self._last[incarnation] = (batch, index)
        return True

    def would_admit(self, incarnation: int, batch: int, index: int) -> bool:
        """What ``admit`` would say; nothing is noted."""
        last = self._last.get(incarnation)
        done = last[0] if last is not None and last[1] >= index - LEDGER_WINDOW_ENTRIES else 0
        return batch == done + 1

    def last_batch(self, incarnation: int) -> int:
        """The last batch of an incarnation that counted, 0 for none."""
        return self._last.get(incarnation, (0, 0))[0]

    def forget(self, index: int) -> list[int]:
        """Drops the incarnations that no longer matter at ``index``; returns them."""
        gone = []
        for incarnation, (_, last_index) in self._last.items():
            if last_index >= index - LEDGER_WINDOW_ENTRIES:
                break
            gone.append(incarnation)
        for incarnation in gone:
            del self._last[incarnation]
        return gone

    def to_value(self) -> list[list[int]]:
        """All of it as a value that msgpack packs: [[incarnation, batch, index], ...]."""
        return [[incarnation, batch, index] for incarnation, (batch, index) in self._last.items()]

    @classmethod
    def from_value(cls, value: Any) -> ProposalLedger:
        """The ledger that ``to_value`` gave; the order of its lines does not matter.

        Raises:
            ProtocolError: it is no such value.
        """
        ledger = cls()
        try:
            for incarnation, batch, index in sorted(value, key=lambda line: line[2]):
                if not (type(incarnation) is type(batch) is type(index) is int):
                    raise TypeError("a line is three integers")
                ledger._last[incarnation] = (batch, index)
        except (TypeError, ValueError, IndexError, KeyError) as problem:
            raise ProtocolError(f"{ProtocolError.text}: not a ledger: {problem}") from None
        return ledger
