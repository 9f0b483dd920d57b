"""How many operations this process has carried out on its replica: plain numbers, which cost next to nothing to add to.

Writes are counted where they are applied, in every worker alike; reads where they are answered, in one.
"""

from __future__ import annotations

from typing import Final


class OperationCounts:
    """Since the process began, those inside of transactions included.

    Attributes:
        ranges: answered here.
        puts, put_bytes: applied, and the bytes of their keys and values.
        deletes: of ranges, applied, whether they met a key or not.
        written_txns, read_txns: transactions of more than one operation: applied; answered here without a write.
    """

    __slots__ = ("deletes", "put_bytes", "puts", "ranges", "read_txns", "written_txns")

    def __init__(self) -> None:
        self.ranges = self.puts = self.put_bytes = self.deletes = 0
        self.written_txns = self.read_txns = 0


OPERATIONS: Final = OperationCounts()
"""Of this process, which has one replica."""
