"""Structured logs, the same in every process: for people on a terminal, JSON lines anywhere else.

Lines go to standard error, one write a line, so that the lines of several processes do not mix. Nothing is logged per
request: a line costs tens of microseconds, more than a read.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import MutableMapping
from types import TracebackType
from typing import Any, Final, TextIO

from oarlock.wire.errors import ConfigurationError

# structlog imports rich, where installed, for tracebacks that we do not use: 5 MB in every process of a server.
_HIDE_RICH: Final = "rich" not in sys.modules
if _HIDE_RICH:
    sys.modules["rich"] = None  # type: ignore[assignment]
try:
    import structlog
finally:
    if _HIDE_RICH:
        del sys.modules["rich"]

LEVELS: Final = ("debug", "info", "warning", "error")
FORMATS: Final = ("auto", "console", "json", "etcd")
_ETCD_LEVELS: Final = {"warning": "warn", "critical": "fatal"}


def configure(process: str, *, level: str = "info", format: str = "auto", stream: TextIO | None = None) -> None:
    """Sets up the logs of this process, once, at its start.

    Uncaught exceptions and records of the standard library's ``logging`` (asyncio, aiohttp) become log lines too.

    Args:
        process: the name that every line carries, beside the process id.
        level: the least level that is written, one of ``LEVELS``.
        format: ``console``, ``json``, ``etcd`` (JSON with etcd's keys), or ``auto``: console if the stream is a
            terminal, else json.
        stream: where lines go; standard error by default.

    Raises:
        ConfigurationError: an unknown level or format.
    """
    if level not in LEVELS:
        raise ConfigurationError(f"log-level must be one of {', '.join(LEVELS)}, not {level!r}")
    if format not in FORMATS:
        raise ConfigurationError(f"log-format must be one of {', '.join(FORMATS)}, not {format!r}")
    target = stream if stream is not None else sys.stderr
    terminal = target.isatty()
    least = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=_processors(process, "console" if format == "auto" and terminal else format, colors=terminal),
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.WriteLoggerFactory(file=target),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(level=max(least, logging.WARNING), handlers=[_Bridge()], force=True)
    sys.excepthook = _log_uncaught


def get_logger(name: str) -> Any:
    """A logger whose lines carry ``module=name``; take one a module: ``log = get_logger(__name__)``.

    Call it as ``log.info("worker started", worker=3)``: a constant text, and the rest as fields.
    """
    if name == "__main__" and (spec := getattr(sys.modules[name], "__spec__", None)) is not None:
        name = spec.name  # a module run by `python -m`
    return structlog.get_logger(module=name.removeprefix("oarlock."))


def _processors(process: str, format: str, *, colors: bool) -> list[Any]:
    pid = os.getpid()

    def add_process(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["process"] = process
        event["pid"] = pid
        return event

    shared: list[Any] = [
        add_process,
        structlog.processors.add_log_level,
        structlog.processors.StackInfoRenderer(),
    ]
    if format == "console":
        return [
            *shared,
            structlog.processors.TimeStamper(fmt="%H:%M:%S.%f", utc=False),
            structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback),
        ]
    return [
        *shared,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        *([_as_etcd] if format == "etcd" else []),
        structlog.processors.JSONRenderer(default=str, separators=(",", ":") if format == "etcd" else None),
    ]


def _as_etcd(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The same line with etcd's keys in etcd's order, for collectors and tools that read its log."""
    level = event.pop("level")
    return {
        "level": _ETCD_LEVELS.get(level, level),
        "ts": event.pop("timestamp"),
        "caller": event.pop("module", "") or "oarlock",
        "msg": event.pop("event"),
        **event,
    }


class _Bridge(logging.Handler):
    """Hands records of the standard library's loggers to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger(module=record.name)
        log.log(record.levelno, record.getMessage(), exc_info=record.exc_info)


def _log_uncaught(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    structlog.get_logger(module="oarlock").critical("uncaught exception", exc_info=(kind, error, traceback))
