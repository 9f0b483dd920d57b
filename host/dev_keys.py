"""The keys of a development cluster: a digit chooses a member, a letter does something to it. No I/O.

>>> keys = Keys(3)
>>> keys.press("k"), keys.press("2"), keys.press("k")
('choose a member first: 1 to 3', 'm2: s stop, f freeze, t thaw, k kill, r restart', (2, <Action.KILL: 'k'>))
"""

from __future__ import annotations

from enum import Enum
from typing import Final


class Action(Enum):
    """What can be done to a member; the value is the key."""

    STOP = "s"
    FREEZE = "f"
    THAW = "t"
    KILL = "k"
    RESTART = "r"


class Quit(Enum):
    """To end everything."""

    QUIT = "q"


ACTIONS: Final = ", ".join(f"{action.value} {action.name.lower()}" for action in Action)


class Keys:
    """Remembers which member is chosen; it stays chosen.

    Args:
        members: how many there are, at most 9.
    """

    def __init__(self, members: int) -> None:
        self._members = members
        self._chosen = 0

    @property
    def help(self) -> str:
        """All keys in one line."""
        return f"1 to {self._members} choose a member, then {ACTIONS}; ? help, q quit"

    def press(self, key: str) -> str | tuple[int, Action] | Quit:
        """What a key means: a line to show, an action on a member (its number from 1), or the end."""
        if key.isdecimal() and 1 <= int(key) <= self._members:
            self._chosen = int(key)
            return f"m{self._chosen}: {ACTIONS}"
        if key in ("q", "\x04"):  # Ctrl-D
            return Quit.QUIT
        action = next((action for action in Action if action.value == key), None)
        if action is None:
            return self.help
        if not self._chosen:
            return f"choose a member first: 1 to {self._members}"
        return self._chosen, action
