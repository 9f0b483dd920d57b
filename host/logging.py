"""Logging of the supervisor: the set-up that all processes share, which lives where they may all import it."""

from __future__ import annotations

from oarlock.wire.logs import FORMATS, LEVELS, configure, get_logger

__all__ = ["FORMATS", "LEVELS", "configure", "get_logger"]
