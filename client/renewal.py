"""When a lease has to be renewed, and when it must be taken for lost. No I/O and no clock.

The server counts the time to live from when it handles the grant or renewal, which is after we asked for it. So a
lease that we count from the asking is lost here before it is lost there, never after (given clocks of the same speed).
"""

from __future__ import annotations

from typing import Final

RENEWALS_PER_TTL: Final = 3
"""As etcd's clients: two renewals may fail before the lease is in danger."""
MAX_RETRY_PAUSE_S: Final = 1.0


class Renewal:
    """The timetable of one lease.

    Invariants: ``renew_at`` <= ``expires_at``; once ``lost`` is True it stays so.
    """

    def __init__(self, ttl_s: float, asked_at: float) -> None:
        self.lost = False
        self._set(ttl_s, asked_at)

    def _set(self, ttl_s: float, asked_at: float) -> None:
        self.ttl_s = ttl_s
        self.expires_at = asked_at + ttl_s
        self.renew_at = asked_at + ttl_s / RENEWALS_PER_TTL

    def answered(self, ttl_s: float, asked_at: float) -> None:
        """The server answered a renewal that was asked for at ``asked_at``; 0 means that there is no such lease."""
        if ttl_s <= 0:
            self.lost = True
        elif not self.lost:
            self._set(ttl_s, asked_at)

    def failed(self, now: float) -> None:
        """A renewal got no answer."""
        self.renew_at = min(now + min(self.ttl_s / 10, MAX_RETRY_PAUSE_S), self.expires_at)
        self.check(now)

    def check(self, now: float) -> None:
        """Takes the lease for lost where its time is over."""
        if now >= self.expires_at:
            self.lost = True

    def attempt_timeout_s(self, now: float) -> float:
        """How long the renewal that begins now may take: a third of the time to live, and no longer than it lasts."""
        return max(min(self.ttl_s / RENEWALS_PER_TTL, self.expires_at - now), 0.001)
