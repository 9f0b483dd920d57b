"""What a setting is: how it is called, understood and explained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Setting(NamedTuple):
    """One setting.

    ``parse`` takes the text and returns the value, or raises ValueError with the rule that the text breaks, worded
    to follow "must be".
    """

    flag: str
    field: str
    default: str
    parse: Callable[[str], Any]
    help: str

    @property
    def variable(self) -> str:
        """The environment variable: ``OARLOCK_HEARTBEAT_INTERVAL`` for ``heartbeat-interval``."""
        return "OARLOCK_" + self.flag.upper().replace("-", "_")
