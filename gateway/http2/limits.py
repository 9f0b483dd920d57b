"""What a peer may take of us, every bound with its reason.

The rule behind the numbers: work and memory that a frame causes are paid for by the bytes of the frame. Frames that
cost no more than their parsing and leave nothing behind (PRIORITY, WINDOW_UPDATE, unknown ones) need no bound. Those
that make us answer, or do work which the stream limit does not see, draw on an allowance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from oarlock.gateway.http2.frames import DEFAULT_FRAME_SIZE


@dataclass(frozen=True, slots=True)
class Rate:
    """``burst`` at once, and ``per_s`` a second in the long run."""

    burst: int
    per_s: float


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of one connection.

    Attributes:
        concurrent_streams: open at a time; one more is refused (REFUSED_STREAM: safe to try again). etcd sets none. An
            open stream costs about 1 kB, so this is 16 MB; a client with a thousand callers and ten watches each fits.
        stream_window_bytes: what a peer may send on a stream before we answer with more. A whole request of etcd's
            default size (1.5 MiB) should need one round trip or two, not 24 as with HTTP/2's own 64 kB.
        connection_window_bytes: the same for all streams together. What arrives is taken at once, so this bounds what
            is under way, not what is kept.
        frame_bytes: the largest payload that we take: HTTP/2's own default, which every client uses anyway.
        header_list_bytes: a decoded header list, counted as RFC 9113 section 6.5.2 does. gRPC's C core has the same
            bound; the largest thing in it is an auth token of one or two kB. More gets an answer, not a closed
            connection.
        header_block_bytes: its encoded form over all its frames. Nobody's honest block is larger than its list; four
            times the list leaves room to decode and answer a list that is too long. More ends the connection.
        continuation_frames: of one header block. The encoded bound fits in 4 full frames (CVE-2024-27316 sent
            endlessly many).
        resets: streams that ended by RST_STREAM, whoever sent it: each may leave work behind that the stream limit no
            longer sees (CVE-2023-44487, and CVE-2025-8671, where the server is provoked to send it). An answered call
            gives one back, so that a client whose calls mostly work is never cut off: a thousand callers may all time
            out at once, twice.
        settings: SETTINGS frames; each walks over the open streams and is acknowledged (CVE-2019-9515). Clients send a
            few in their life.
        pings: PING frames before which we sent no headers or data, of any pace that the keepalive policy lets through;
            each is answered (CVE-2019-9512). Those that follow an answer are bounded by the answers: clients that
            measure bandwidth (grpc-go) ping after each.
        empty_frames: DATA without data that ends nothing (CVE-2019-9518). No honest client needs them.
        unsent_bytes: written by us, not yet taken by the transport, before data waits in its stream instead.
        control_bytes: the same, before the connection is given up: acknowledgements and short answers that a peer asks
            for and does not read. More than a full read of calls that all fail can make.
        queued_stream_bytes: data of one stream that waits for the peer's window. One message always fits, however long.
        queued_bytes: the same for all streams of the connection.
        handshake_timeout_s: until the preface and SETTINGS have come, and ours are acknowledged.
        remembered_resets: streams that we reset, whose frames may still be on their way and are passed over.
    """

    concurrent_streams: int = 16_384
    stream_window_bytes: int = 1 << 20
    connection_window_bytes: int = 16 << 20
    frame_bytes: int = DEFAULT_FRAME_SIZE
    header_list_bytes: int = 16 << 10
    header_block_bytes: int = 64 << 10
    continuation_frames: int = 32
    resets: Rate = Rate(2_000, 200)
    settings: Rate = Rate(100, 10)
    pings: Rate = Rate(1_000, 100)
    empty_frames: Rate = Rate(100, 10)
    unsent_bytes: int = 256 << 10
    control_bytes: int = 8 << 20
    queued_stream_bytes: int = 16 << 20
    queued_bytes: int = 64 << 20
    handshake_timeout_s: float = 20.0
    remembered_resets: int = 1_000


DEFAULT_LIMITS: Final = Limits()


class Allowance:
    """A rate that is drawn on (a token bucket).

    Invariant: 0 <= what is left <= ``rate.burst``.

    Args:
        rate: how much there is at first, at most, and how much comes back a second.
        now_s: monotonic time in seconds.
    """

    __slots__ = ("_left", "_rate", "_seen_s")

    def __init__(self, rate: Rate, now_s: float) -> None:
        self._rate = rate
        self._left = float(rate.burst)
        self._seen_s = now_s

    def take(self, now_s: float) -> bool:
        """Draws one; False when there is none."""
        self._left = min(self._rate.burst, self._left + max(0.0, now_s - self._seen_s) * self._rate.per_s)
        self._seen_s = now_s
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def give_back(self, count: int) -> None:
        """``count`` more, up to the burst."""
        self._left = min(self._rate.burst, self._left + count)
