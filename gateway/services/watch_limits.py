"""The bounds of watches, together."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class WatchLimits:
    """What the watches of a worker may take.

    Attributes:
        watches: of one stream: a client of Go's puts all its watches on one. About 1 kB each.
        queue_bytes: what may wait for a client in a stream before its watches fall behind; one batch may wait however
            long it is. Several round trips of a fast client, and 10,000 that do not read take what a machine has.
        pulls: requests for history under way: a quarter of the long reads that a worker runs at a time, and it slices
            them.
        pull_bytes: of history asked for at a time, keys and values: a few milliseconds of work.
        live_bytes: of several revisions in one batch, keys and values. A longer one is not encoded whole: its watchers
            pull it in slices, so that a burst of long values does not stand in memory three times over.
    """

    watches: int = 100_000
    queue_bytes: int = 256 << 10
    pulls: int = 16
    pull_bytes: int = 128 << 10
    live_bytes: int = 4 << 20

    @property
    def pulled_queue_bytes(self) -> int:
        """What may wait together with history: it was asked for when nothing waited, and is not to be refused for the
        little that other watches have added since."""
        return self.queue_bytes + 4 * self.pull_bytes
