"""A simulated watch, with the real watcher. Every delivery must be what the model says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from oarlock.watching import Deliver, Effect, End, Pull, Watcher
from oarlock.wire.errors import CompactedError, OarlockError
from oarlock.wire.frames import pack, unpack
from oarlock.wire.operations import FROM_KEY

from .connection import Connection

if TYPE_CHECKING:
    from .clients import SimClient

MAX_HISTORY_BYTES: Final = 2_000
"""Small, so that history comes in several answers."""


class SimWatch:
    """The watch of one client, on a range that chance has chosen."""

    def __init__(self, client: SimClient) -> None:
        self._client = client
        self.key, self.end = client.world.rng.choice([(FROM_KEY, FROM_KEY), (b"a", b"c"), (b"b", b"")])
        self._watcher = Watcher(1)
        self._token = b""
        self._delivered = 0

    @property
    def is_behind(self) -> bool:
        """Whether events are still to come."""
        judge = self._client.judge
        return bool(judge.events(self.key, self.end, self._delivered, judge.model.revision))

    def describe(self) -> str:
        """How far it is, for a person."""
        connection = self._client.connection
        end = "nobody" if connection is None else f"{connection.worker.identity!r}, alive {connection.worker.alive}"
        return f"{self._watcher.state} at {self._delivered}, connected to {end}"

    def join(self, connection: Connection) -> None:
        """Subscribes on a new connection."""
        self._token = self._client.world.rng.randbytes(16)
        connection.subscribe(pack([self._token, self.key, self.end, 0]))

    def on_push(self, frame: bytes) -> None:
        """Takes what was published."""
        topic, content = frame[:16], unpack(frame[16:])
        if topic != self._token:
            self._carry_out(self._watcher.live(topic, *content))
        elif content[0] == 0:
            self._carry_out(self._watcher.answered(content[1], content[2], self._client.seen_revision))

    def _carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Deliver):
                self._deliver(effect)
            elif isinstance(effect, Pull):
                self._pull(effect)
            elif isinstance(effect, End):
                assert isinstance(effect.error, CompactedError), effect.error

    def _deliver(self, effect: Deliver) -> None:
        # The watcher has moved on already; what was delivered before is remembered here.
        judge = self._client.judge
        assert effect.revision <= judge.model.revision, "an event that is not committed"
        expected = judge.events(self.key, self.end, self._delivered, effect.revision)
        assert effect.events == expected, f"events after {self._delivered}: {effect.events}, expected {expected}"
        self._delivered = effect.revision

    def _pull(self, effect: Pull) -> None:
        def done(result: Any, error: OarlockError | None) -> None:
            if error is None:
                self._carry_out(self._watcher.pulled(effect.number, *result))
            elif isinstance(error, CompactedError):
                assert error.detail > effect.start_revision, "a revision was refused that is not compacted"
                self._begin_again(error.detail)
            else:
                self._carry_out(self._watcher.pull_failed(effect.number))

        arguments = (self.key, 0, self.end, effect.start_revision, effect.min_revision, MAX_HISTORY_BYTES)
        self._client.pull(arguments, done)

    def _begin_again(self, revision: int) -> None:
        """What comes next was compacted: goes on from the oldest revision that is left."""
        self._watcher = Watcher(revision)
        self._delivered = revision - 1
        if self._client.connection is not None:
            self.join(self._client.connection)
