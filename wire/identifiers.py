"""Ids that are drawn, not given: of clients, incarnations, members, leases."""

from __future__ import annotations

import secrets
from typing import Final

RANDOM_BITS: Final = 62
"""Positive in a signed 64-bit integer as well, for clients in languages that have no other."""


def new_id() -> int:
    """A random id, 1 to 2**62: 0 is left to mean none."""
    return secrets.randbits(RANDOM_BITS) + 1
