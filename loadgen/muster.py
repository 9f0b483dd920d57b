"""What the captain of a crew knows of its processes: messages and time in, messages to send out; no I/O.

Over the wire go msgpack arrays. From a process: ``["hello"]``, ``["ready"]`` (it waits at the barrier),
``["progress", ended, elapsed_s]`` every ``BEAT_S``, and last ``["outcome", outcome]`` or ``["failed", kind, text]``.
To a process: ``["job", job]``, ``["start"]`` when all are ready, ``["stop"]`` where the load is to end early.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from oarlock.loadgen.job import Job
from oarlock.loadgen.outcome import Outcome
from oarlock.wire.errors import OarlockError

BEAT_S: Final = 0.25
"""How often a process tells its progress: a bar that moves, and no cost."""
SILENCE_S: Final = 60.0
"""After so long without a word a process counts as hung: a machine under load may hold it up for many seconds."""
REFUSED: Final = "refused"
"""The kind of failure that the caller's options brought on."""

Sending = tuple[int, list[Any]]
"""(share, message)."""


class CrewError(OarlockError):
    """A process of the load generator died, hung or failed, and so did the whole load."""

    text = "a process of the load generator failed"


class Muster:
    """A load under way in several processes.

    Invariants: ``start`` is sent once, to all, when the last has become ready; ``outcome`` is there when all are in.

    Args:
        jobs: one a process, in the order of their shares.
        now_s: the time, monotonic.
    """

    def __init__(self, jobs: Sequence[Job], now_s: float) -> None:
        self._jobs = jobs
        self._heard_s = [now_s] * len(jobs)
        self._ready: set[int] = set()
        self._progress = [(0, 0.0)] * len(jobs)
        self._outcomes: dict[int, Outcome] = {}

    def hear(self, share: int, message: list[Any], now_s: float) -> list[Sending]:
        """Takes a message of the process with this share, and tells what to send.

        Raises:
            CrewError: it failed.
            ValueError: it refused the job's options.
        """
        self._heard_s[share] = now_s
        match message:
            case ["hello"]:
                return [(share, ["job", self._jobs[share].to_wire()])]
            case ["ready"]:
                self._ready.add(share)
                if len(self._ready) == len(self._jobs):
                    return [(each, ["start"]) for each in range(len(self._jobs))]
            case ["progress", int(ended), float(elapsed_s)]:
                self._progress[share] = ended, elapsed_s
            case ["outcome", dict(outcome)]:
                self._outcomes[share] = Outcome.from_wire(outcome)
            case ["failed", kind, str(text)]:
                raise ValueError(text) if kind == REFUSED else CrewError(text)
            case _:
                raise CrewError(f"process {share} of the load generator sent what no process sends")
        return []

    def ended(self, share: int, exit_code: int) -> None:
        """The process with this share is gone, and all that it sent was heard.

        Raises:
            CrewError: before it had told its outcome.
        """
        if share not in self._outcomes:
            raise CrewError(f"process {share} of the load generator ended before its load did (exit code {exit_code})")

    def check(self, now_s: float) -> None:
        """Looks at the time.

        Raises:
            CrewError: a process has been silent for ``SILENCE_S``.
        """
        for share, heard_s in enumerate(self._heard_s):
            if share not in self._outcomes and now_s - heard_s > SILENCE_S:
                raise CrewError(f"process {share} of the load generator has said nothing for {SILENCE_S:g} s")

    def stop(self) -> list[Sending]:
        """What to send so that the load ends early."""
        return [(share, ["stop"]) for share in range(len(self._jobs))]

    @property
    def progress(self) -> tuple[int, float]:
        """Requests ended in all processes, and seconds since the start."""
        return sum(ended for ended, _ in self._progress), max(elapsed_s for _, elapsed_s in self._progress)

    @property
    def outcome(self) -> Outcome | None:
        """All outcomes together, when all are in."""
        if len(self._outcomes) < len(self._jobs):
            return None
        together = Outcome()
        for outcome in self._outcomes.values():
            together.merge(outcome)
        return together
