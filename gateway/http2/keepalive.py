"""Pings: how many a peer may send, and when we send our own (gRPC's keepalive, as etcd sets it up)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_MAX_STRIKES: Final = 2
"""The third ping too early ends the connection, as with grpc-go (``maxPingStrikes``)."""
_MIN_IDLE_S: Final = 7200.0
"""The least time between pings while no stream is open, unless they are permitted (grpc-go's
``defaultPingTimeout``)."""

KEEPALIVE_PAYLOAD: Final = b"keepaliv"
DRAIN_PAYLOAD: Final = b"draining"


@dataclass(frozen=True, slots=True)
class KeepalivePolicy:
    """etcd's defaults: ``grpc-keepalive-min-time``, ``grpc-keepalive-interval``, ``grpc-keepalive-timeout``.

    Attributes:
        min_time_s: pings of a peer closer together than this are strikes.
        permit_without_stream: whether that holds while no stream is open too; else two hours must lie between.
        interval_s: a connection silent for so long is pinged; 0 never.
        timeout_s: and closed when nothing came for so long after.
    """

    min_time_s: float = 5.0
    permit_without_stream: bool = False
    interval_s: float = 7200.0
    timeout_s: float = 20.0


class PingJudge:
    """Counts the pings of a peer that came too early. Data that we send forgives them, as clients that measure
    bandwidth ping with every answer."""

    __slots__ = ("_last_s", "_policy", "_strikes")

    def __init__(self, policy: KeepalivePolicy) -> None:
        self._policy = policy
        self._last_s: float | None = None
        self._strikes = 0

    def is_too_many(self, now_s: float, *, has_streams: bool, has_answered: bool) -> bool:
        """Whether the ping that came at ``now_s`` is one too many.

        Args:
            now_s: monotonic time in seconds.
            has_streams: whether a stream is open.
            has_answered: whether headers or data were sent since the last ping.
        """
        policy = self._policy
        gap_s = policy.min_time_s if has_streams or policy.permit_without_stream else _MIN_IDLE_S
        if has_answered:
            self._strikes = 0
        elif self._last_s is not None and now_s < self._last_s + gap_s:
            self._strikes += 1
        self._last_s = now_s
        return self._strikes > _MAX_STRIKES


class Keepalive:
    """When to ping a silent peer, and when to give it up.

    Invariant: a ping is under way only if nothing has come since it was sent.
    """

    __slots__ = ("_heard_s", "_pinged_s", "_policy")

    def __init__(self, policy: KeepalivePolicy, now_s: float) -> None:
        self._policy = policy
        self._heard_s = now_s
        self._pinged_s: float | None = None

    def heard(self, now_s: float) -> None:
        """Something came; anything will do."""
        self._heard_s = now_s
        self._pinged_s = None

    @property
    def wake_at_s(self) -> float | None:
        """When there is something to decide, None never."""
        if not self._policy.interval_s:
            return None
        if self._pinged_s is not None:
            return self._pinged_s + self._policy.timeout_s
        return self._heard_s + self._policy.interval_s

    def is_ping_due(self, now_s: float) -> bool:
        """Whether to ping now; if so it counts as sent."""
        if not self._policy.interval_s or self._pinged_s is not None:
            return False
        if now_s < self._heard_s + self._policy.interval_s:
            return False
        self._pinged_s = now_s
        return True

    def is_lost(self, now_s: float) -> bool:
        """Whether a ping has gone unanswered for too long."""
        return self._pinged_s is not None and now_s >= self._pinged_s + self._policy.timeout_s
