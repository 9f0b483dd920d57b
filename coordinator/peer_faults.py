"""Faults on the links between members, for tests alone: links that drop, lose or delay what is sent.

With ``OARLOCK_TEST_PEER_FAULTS`` set to a path, the member looks at that file on every tick, and does what it says; no
file, no faults. It holds a JSON object: ``drop_to`` and ``drop_from`` are lists of peer URLs, ``loss`` is the part of
the frames that is lost (0 to 1), ``delay_ms`` how much later frames leave. So a test cuts members that all run on one
machine from each other, in one direction or in both.
"""

from __future__ import annotations

import heapq
import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

FAULTS_FILE: Final = "OARLOCK_TEST_PEER_FAULTS"
"""Environment: the control file."""


class PeerFaults:
    """What happens to frames. Without a control file: nothing, at no cost.

    Args:
        path: of the control file, None for none.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._changed_ns = 0
        self._random = random.Random()
        self._drop_to: frozenset[str] = frozenset()
        self._drop_from: frozenset[str] = frozenset()
        self._loss = 0.0
        self._delay_s = 0.0
        self._delayed: list[tuple[float, int, Callable[[], object]]] = []
        self._count = 0
        self.active = False

    @classmethod
    def from_environment(cls) -> PeerFaults:
        """As the environment says."""
        path = os.environ.get(FAULTS_FILE)
        return cls(Path(path) if path else None)

    def look(self) -> None:
        """Reads the control file, if it has changed."""
        if self._path is None:
            return
        try:
            changed_ns = self._path.stat().st_mtime_ns
            if changed_ns == self._changed_ns:
                return
            faults = json.loads(self._path.read_text())
        except FileNotFoundError:
            changed_ns, faults = 0, {}
        except ValueError:
            return  # half written: the next look will do
        self._changed_ns = changed_ns
        self._drop_to = frozenset(faults.get("drop_to", ()))
        self._drop_from = frozenset(faults.get("drop_from", ()))
        self._loss = float(faults.get("loss", 0))
        self._delay_s = float(faults.get("delay_ms", 0)) / 1000
        self.active = bool(faults)

    def drops_to(self, url: str) -> bool:
        """Whether a frame to ``url`` is lost."""
        return url in self._drop_to or (self._loss > 0 and self._random.random() < self._loss)

    def drops_from(self, url: str) -> bool:
        """Whether a frame from ``url`` is lost."""
        return url in self._drop_from

    def delays(self, send: Callable[[], object], now_s: float) -> bool:
        """Keeps ``send`` for later, if frames are delayed."""
        if not self._delay_s:
            return False
        self._count += 1
        heapq.heappush(self._delayed, (now_s + self._delay_s, self._count, send))
        return True

    def due(self, now_s: float) -> Iterator[Callable[[], object]]:
        """Takes out what has waited long enough."""
        while self._delayed and self._delayed[0][0] <= now_s:
            yield heapq.heappop(self._delayed)[2]
