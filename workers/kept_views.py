"""Views of the replica between two pages of a list.

A client, or a door, that has read a page asks for the next one at once, at the same revision. What was written
meanwhile has made that revision an old one, and a read of the past takes several times as long as one of the present:
so the view of the page before is kept for a moment, and the next page is read from it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from oarlock.storage.replica import ReadView

KEPT_S: Final = 0.5
"""How long a view waits for the next page: some round trips on a loaded machine. Pages of the file that a view can see
are not used again while it is open."""
MAX_AGE_S: Final = 5.0
"""How old a view may be and still be kept: well below what the replica allows, so that the next page can be read."""
MAX_KEPT: Final = 16
"""Views; beyond it the oldest goes. Each is a slot of the replica's table of readers."""


class KeptViews:
    """Views that may be asked for again, the oldest first. It owns those that it has.

    Args:
        now_s: the monotonic clock.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._kept: list[tuple[float, ReadView]] = []

    def keep(self, view: ReadView) -> None:
        """Takes a view over."""
        now_s = self._now_s()
        if now_s - view.opened_at_s > MAX_AGE_S:
            view.close()
            return
        self._kept.append((now_s + KEPT_S, view))
        if len(self._kept) > MAX_KEPT:
            self._kept.pop(0)[1].close()

    def take(self, revision: int) -> ReadView | None:
        """A view whose present is ``revision``, which is the caller's from now on; None if there is none."""
        for place, (_, view) in enumerate(self._kept):
            if view.revision == revision:
                del self._kept[place]
                return view
        return None

    def close_old(self, now_s: float) -> None:
        """Ends those that have waited for too long."""
        while self._kept and self._kept[0][0] <= now_s:
            self._kept.pop(0)[1].close()

    def close_all(self) -> None:
        """Ends all."""
        while self._kept:
            self._kept.pop()[1].close()
