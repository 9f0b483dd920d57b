"""What a child process (coordinator, worker) and its supervisor agree on.

The supervisor execs each child with a few environment variables and one end of a socket pair. Over that socket the
child reports, a JSON object a packet, that it is ready, alive, stopping or beyond help; its closing tells the child
that the supervisor is gone. A process started by hand has no such socket: its reports then go nowhere.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import sys
import threading
from typing import Any, Final

from oarlock.wire.errors import ConfigurationError

SETTINGS: Final = "OARLOCK_SETTINGS"
"""Environment: the settings as one JSON object, keys as the fields of ``oarlock.host.settings.Settings``."""
PROCESS_NAME: Final = "OARLOCK_PROCESS_NAME"
"""Environment: ``coordinator`` or ``worker-<number>``; names the process in logs and metrics."""
WORKER_NUMBER: Final = "OARLOCK_WORKER_NUMBER"
"""Environment: the number of a worker, from 0."""
REBUILD_REPLICA: Final = "OARLOCK_REBUILD_REPLICA"
"""Environment: ``1`` tells a worker to discard its replica and rebuild it."""
PARENT_FD: Final = "OARLOCK_PARENT_FD"
"""Environment: the number of the inherited descriptor, the child's end of the socket pair."""
PARENT_PID: Final = "OARLOCK_PARENT_PID"
"""Environment: the supervisor's process id."""
METRICS_DIRECTORY: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Environment: where the files of the metrics are; the name is prometheus-client's."""

EXIT_REBUILD: Final = 75
"""Exit code of a worker whose replica is not to be trusted: it is started again with ``OARLOCK_REBUILD_REPLICA=1``."""
EXIT_FATAL: Final = 78
"""Exit code that a restart cannot help (a damaged log, the data of another cluster): the whole server stops."""

ALIVE_INTERVAL_S: Final = 1.0
"""How often a child says that it is alive. The supervisor's patience is a multiple of this."""
MAX_REPORT_BYTES: Final = 16 * 1024
"""The longest report; far below the socket's buffer, so that a packet goes whole or not at all."""

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NAME: Final = 15
_ARG_START_FIELD: Final = 48  # proc(5), /proc/pid/stat, counted from 1


def child_settings() -> dict[str, Any]:
    """The settings that the supervisor handed over.

    Raises:
        ConfigurationError: the process was not started by a supervisor, or the hand-over is not a JSON object.
    """
    text = os.environ.get(SETTINGS)
    if text is None:
        raise ConfigurationError(f"{SETTINGS} is not set: this program is started by `oarlock serve`")
    try:
        settings = json.loads(text)
    except ValueError as error:
        raise ConfigurationError(f"{SETTINGS} is not JSON: {error}") from error
    if not isinstance(settings, dict):
        raise ConfigurationError(f"{SETTINGS} must be a JSON object, not {text[:80]!r}")
    return settings


def process_name() -> str:
    """``coordinator``, ``worker-<number>``, or ``oarlock`` for a process that no supervisor started."""
    return os.environ.get(PROCESS_NAME, "oarlock")


def worker_number() -> int:
    """The number of this worker, from 0.

    Raises:
        ConfigurationError: the environment holds no number.
    """
    text = os.environ.get(WORKER_NUMBER, "")
    if not text.isdecimal():
        raise ConfigurationError(f"{WORKER_NUMBER} must be a number from 0, not {text!r}")
    return int(text)


def rebuild_requested() -> bool:
    """Whether the supervisor wants this worker to discard its replica and rebuild it."""
    return os.environ.get(REBUILD_REPLICA) == "1"


def notify_ready(**fields: Any) -> None:
    """Reports that this process serves from now on. Fields as for `notify_alive`."""
    _report("ready", fields)


def notify_alive(**fields: Any) -> None:
    """Reports that this process makes progress; due every ``ALIVE_INTERVAL_S``, also while starting up.

    Args:
        fields: what changed, small and JSON-serialisable. Known to the supervisor, which keeps the last value of
            each: ``leader`` (bool, from the coordinator: is a leader known), ``alarms`` (list of etcd's alarm names).
    """
    _report("alive", fields)


def notify_stopping() -> None:
    """Reports that this process was asked to stop, has seen it, and finishes what is under way."""
    _report("stopping", {})


def notify_fatal(reason: str) -> None:
    """Reports in one line why no restart can help; the caller then exits with ``EXIT_FATAL``."""
    _report("fatal", {"reason": reason[:2000]})


def _report(event: str, fields: dict[str, Any]) -> None:
    """Sends one report without waiting: a supervisor that does not read (suspended) must not stop a hot loop."""
    descriptor = _parent_descriptor()
    if descriptor is None:
        return
    packet = json.dumps({"event": event, **fields}, separators=(",", ":")).encode()
    if len(packet) > MAX_REPORT_BYTES:
        raise ValueError(f"a report of {len(packet)} bytes exceeds {MAX_REPORT_BYTES}")
    with contextlib.suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
        os.write(descriptor, packet)


def _parent_descriptor() -> int | None:
    text = os.environ.get(PARENT_FD)
    return int(text) if text else None


def die_with_parent() -> None:
    """Ties this process to its supervisor: when that dies, however it dies, the kernel kills this process.

    To be called first thing in a child, before threads and sockets exist. Three lines of defence: the parent-death
    signal; a look whether the parent died before that was set; and a thread that waits for the parent's end of the
    socket pair to close, for kernels and sandboxes without prctl. Does nothing in a process started by hand.
    """
    descriptor = _parent_descriptor()
    if descriptor is None:
        return
    os.set_inheritable(descriptor, False)
    _prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != int(os.environ.get(PARENT_PID, os.getppid())):
        _die()
    threading.Thread(target=_die_on_hangup, args=(descriptor,), name="parent-watch", daemon=True).start()


def _die_on_hangup(descriptor: int) -> None:
    poller = select.poll()
    poller.register(descriptor, 0)  # no events asked for: POLLHUP and POLLERR always come
    poller.poll()
    _die()


def _die() -> None:
    # SIGKILL rather than exit: no handler may hold up a process whose owner is gone, and replicas survive it.
    os.kill(os.getpid(), signal.SIGKILL)


def raise_descriptor_limit() -> int:
    """Lets this process have as many open files as it may, and returns how many: a login allows a thousand, and every
    connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # not ours to raise: then it stays what it is
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        return hard
    return soft


def set_process_title(title: str) -> None:
    """Shows ``title`` in ``ps`` instead of the interpreter's command line. Best effort: Linux only, never fails.

    Example: ``set_process_title("oarlock: worker 0")``.

    Args:
        title: at most as long as the original command line, else cut. ``ps -o comm`` and ``top`` show its first 15
            bytes, without the ``oarlock: `` that all have in common when it is longer than that.
    """
    short = title if len(title) <= 15 else title.removeprefix("oarlock: ")
    _prctl(_PR_SET_NAME, ctypes.create_string_buffer(short.encode()[:15]))
    with contextlib.suppress(OSError, ValueError, IndexError):
        _overwrite_arguments(title.encode())


def _overwrite_arguments(title: bytes) -> None:
    """Writes over the memory that the kernel shows as this process's arguments.

    A different ``argv[0]`` at exec would be simpler, but Python finds its virtual environment by ``argv[0]``.
    """
    if not sys.platform.startswith("linux"):
        return
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b") ")[2].split()  # the fields from the third on
    start, end = (int(fields[_ARG_START_FIELD - 3 + offset]) for offset in (0, 1))
    with open("/proc/self/cmdline", "rb") as file:
        arguments = file.read()
    length = end - start
    if length <= 1 or len(arguments) != length or ctypes.string_at(start, length) != arguments:
        return  # not the layout that we know: better an honest command line than a wild write
    ctypes.memmove(start, title[: length - 1].ljust(length, b"\0"), length)


def _prctl(option: int, argument: Any) -> None:
    try:
        libc = ctypes.CDLL(None)
        libc.prctl(option, argument, 0, 0, 0)
    except (OSError, AttributeError):
        return
