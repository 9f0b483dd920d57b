"""Which requests a load has, and when each is due: iterators that know neither clock nor network.

A *closed* load has no rate: a request is due as soon as there is room for it. An *open* load has one: request n is
due n / rate seconds after the start, whether or not the server keeps up, and its latency counts from then on. That
is what users see who do not wait for each other; to measure from the sending would leave out the queue (Tene,
"coordinated omission").
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, count, cycle, repeat
from random import Random
from typing import Final

MAX_KEY_BYTES: Final = 64 * 1024
MAX_ZIPF_KEYS: Final = 10_000_000
"""Their summed frequencies take 80 MB, and a few seconds to make."""
VALUES: Final = 16
"""Different values in turn: enough that nothing along the way can profit from writing the same one again."""


@dataclass(frozen=True, slots=True)
class KeySpace:
    """The keys of a load: ``count`` of them, each ``size`` bytes, all with the same prefix.

    A key is the prefix and its number, padded with zeros to ``size``.

    Attributes:
        count: how many there are.
        size: bytes of each.
        prefix: what all begin with.
        random: drawn at random, all alike, instead of one after the other.
        seed: of what is drawn.
        zipf: if not 0, keys are drawn as by Zipf's law with this exponent: key n with a frequency in proportion to
            1 / (n + 1) ** zipf. With 1 and 10,000 keys, the first gets a tenth of all, and the first 100 a half.
        share, shares: which of how many processes this is: keys in turn are shared out between them.

    Raises:
        ValueError: so many different keys do not fit into ``size`` bytes, or a figure is out of its range.
    """

    count: int
    size: int
    prefix: bytes = b"bench/"
    random: bool = False
    seed: int = 0
    zipf: float = 0.0
    share: int = 0
    shares: int = 1

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"a key space has at least 1 key, not {self.count}")
        if self.zipf < 0 or (self.zipf and self.count > MAX_ZIPF_KEYS):
            raise ValueError(f"zipf takes an exponent above 0 and at most {MAX_ZIPF_KEYS} keys, not {self.zipf:g}")
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
        if self.zipf:
            return self._zipf_numbers()
        return self._random_numbers() if self.random else self._numbers_in_turn()

    def _numbers_in_turn(self) -> Iterator[int]:
        total = self.count
        return (number % total for number in count(self.share, self.shares))

    def _random_numbers(self) -> Iterator[int]:
        chance = Random(self.seed).random  # half the cost of randrange; the bias is below 2**-50
        total = self.count
        while True:
            yield int(chance() * total)

    def _zipf_numbers(self) -> Iterator[int]:
        """Draws by looking up a chance among the summed frequencies: exact, 0.5 µs a number, 8 bytes a key."""
        sums = array("d", accumulate((rank + 1) ** -self.zipf for rank in range(self.count)))
        chance, total = Random(self.seed).random, sums[-1]
        return (bisect_right(sums, chance() * total) for _ in repeat(None))

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
    return cycle([random.randbytes(size) for _ in range(VALUES)])


def due_times(rate: float, first_s: float = 0.0) -> Iterator[float]:
    """When requests are due, in seconds from the start: all at once (0.0) for ``rate`` 0, else ``rate`` a second.

    Args:
        rate: requests a second.
        first_s: when the first of an open load is due.

    Raises:
        ValueError: the rate is negative.
    """
    if rate < 0:
        raise ValueError(f"a rate is 0 (no limit) or more requests a second, not {rate}")
    if rate == 0:
        return repeat(0.0)
    return (first_s + number / rate for number in count())
