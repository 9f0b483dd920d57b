"""Which requests a load has, and when each is due: iterators that know neither clock nor network.

A *closed* load has no rate: a request is due as soon as there is room for it. An *open* load has one: request n is
due n / rate seconds after the start, whether or not the server keeps up, and its latency counts from then on. That
is what users see who do not wait for each other; to measure from the sending would leave out the queue (Tene,
"coordinated omission").
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, repeat
from random import Random
from typing import Final

MAX_KEY_BYTES: Final = 64 * 1024
VALUES: Final = 16
"""Different values in turn: enough that nothing along the way can profit from writing the same one again."""


@dataclass(frozen=True, slots=True)
class KeySpace:
    """The keys of a load: ``count`` of them, each ``size`` bytes, all with the same prefix.

    A key is the prefix and its number, padded with zeros to ``size``.

    Raises:
        ValueError: so many different keys do not fit into ``size`` bytes, or a figure is out of its range.
    """

    count: int
    size: int
    prefix: bytes = b"bench/"
    random: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"a key space has at least 1 key, not {self.count}")
        shortest = len(self.prefix) + len(str(self.count - 1))
        if not shortest <= self.size <= MAX_KEY_BYTES:
            raise ValueError(
                f"{self.count} different keys under {self.prefix.decode(errors='replace')!r} take {shortest} to "
                f"{MAX_KEY_BYTES} bytes each, not {self.size}"
            )

    def key(self, number: int) -> bytes:
        """The key with this number, 0 <= number < count."""
        return b"%b%0*d" % (self.prefix, self.size - len(self.prefix), number)

    def numbers(self) -> Iterator[int]:
        """Numbers of keys without end: in turn, or at random (from the seed, the same every time)."""
        if not self.random:
            while True:
                yield from range(self.count)
        chance = Random(self.seed).random  # half the cost of randrange; the bias is below 2**-50
        total = self.count
        while True:
            yield int(chance() * total)

    def keys(self) -> Iterator[bytes]:
        """``numbers`` as keys."""
        template = b"%b%%0%dd" % (self.prefix.replace(b"%", b"%%"), self.size - len(self.prefix))
        return (template % number for number in self.numbers())


def values(size: int, seed: int = 0) -> Iterator[bytes]:
    """Random values of ``size`` bytes without end, ``VALUES`` different ones in turn.

    Raises:
        ValueError: the size is negative.
    """
    if size < 0:
        raise ValueError(f"a value has 0 bytes or more, not {size}")
    random = Random(seed)
    made = [random.randbytes(size) for _ in range(VALUES)]
    while True:
        yield from made


def due_times(rate: float) -> Iterator[float]:
    """When requests are due, in seconds from the start: all at once (0.0) for ``rate`` 0, else ``rate`` a second.

    Raises:
        ValueError: the rate is negative.
    """
    if rate < 0:
        raise ValueError(f"a rate is 0 (no limit) or more requests a second, not {rate}")
    if rate == 0:
        return repeat(0.0)
    return (number / rate for number in count())
