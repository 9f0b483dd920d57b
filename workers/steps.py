"""Long reads in slices: a computation that hands back control after every few rows.

A computation is a generator that yields how many rows it has looked at since it yielded last, and returns its result.
They nest by ``yield from``. A worker advances one a little in each turn of its loop; the state machine, which must have
the result at once, runs it to its end.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Final, Generic, TypeAlias, TypeVar

T = TypeVar("T")

Steps: TypeAlias = Generator[int, None, T]

CHUNK_ROWS: Final = 256
"""Rows between two chances to stop: about half a millisecond."""


class Cursor(Generic[T]):
    """A computation under way.

    Attributes:
        result: what it returned; only there once ``step`` has said True.
    """

    __slots__ = ("_steps", "result")

    def __init__(self, steps: Steps[T]) -> None:
        self._steps = steps
        self.result: T

    def step(self, budget_rows: int) -> bool:
        """Goes on for about ``budget_rows`` rows; True when the result is there.

        Raises:
            RequestError: what the computation refuses; it is over then.
            ReadExpiredError: its view was open for too long.
        """
        for rows in self._steps_with_result():
            budget_rows -= rows
            if budget_rows <= 0:
                return False
        return True

    def _steps_with_result(self) -> Generator[int, None, None]:
        while True:
            try:
                yield next(self._steps)
            except StopIteration as stop:
                self.result = stop.value
                return

    def close(self) -> None:
        """Gives up. It is no error to do it twice, or after the end."""
        self._steps.close()


def run(steps: Steps[T]) -> T:
    """The result, at once."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            result: T = stop.value
            return result
