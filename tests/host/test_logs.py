"""Log lines, for people and for machines."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from oarlock.wire import logs
from oarlock.wire.errors import ConfigurationError


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root, hook = logging.getLogger(), sys.excepthook
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:], root.level = handlers, level
    sys.excepthook = hook


def test_lines_are_json_unless_someone_looks() -> None:
    stream = io.StringIO()
    logs.configure("worker-0", stream=stream)
    logs.get_logger("oarlock.workers.hub").info("something happened", count=3)
    line = json.loads(stream.getvalue())
    assert (line["event"], line["count"], line["level"]) == ("something happened", 3, "info")
    assert (line["process"], line["pid"], line["module"]) == ("worker-0", os.getpid(), "workers.hub")


def test_lines_on_a_terminal_are_for_people() -> None:
    stream = Terminal()
    logs.configure("worker-0", stream=stream)
    logs.get_logger("oarlock.x").info("something happened")
    assert "something happened" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


def test_lines_below_the_level_are_left_out() -> None:
    stream = io.StringIO()
    logs.configure("worker-0", level="warning", stream=stream)
    log = logs.get_logger("oarlock.x")
    log.info("quiet")
    log.warning("loud")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["loud"]


def test_lines_from_threads_carry_the_process_too() -> None:
    stream = io.StringIO()
    logs.configure("worker-0", stream=stream)
    thread = threading.Thread(target=lambda: logs.get_logger("oarlock.x").info("from a thread"))
    thread.start()
    thread.join()
    assert json.loads(stream.getvalue())["process"] == "worker-0"


def test_the_standard_library_logs_through_the_same_lines() -> None:
    stream = io.StringIO()
    logs.configure("supervisor", stream=stream)
    logging.getLogger("asyncio").warning("slow %s", "callback")
    line = json.loads(stream.getvalue())
    assert (line["event"], line["module"], line["level"]) == ("slow callback", "asyncio", "warning")


def test_an_uncaught_exception_is_one_line() -> None:
    code = "from oarlock.wire import logs; logs.configure('worker-0'); 1 / 0"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    line = json.loads(process.stderr)
    assert (process.returncode, line["level"]) == (1, "critical")
    assert "ZeroDivisionError" in line["exception"]


@pytest.mark.parametrize(("options", "name"), [({"level": "loud"}, "log-level"), ({"format": "xml"}, "log-format")])
def test_unknown_options_are_refused(options: dict[str, Any], name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} must be one of"):
        logs.configure("worker-0", **options)


def test_lines_may_have_the_keys_of_etcd() -> None:
    stream = io.StringIO()
    logs.configure("worker-0", format="etcd", stream=stream)
    logs.get_logger("oarlock.x").warning("slow disk", took_s=3)
    text = stream.getvalue()
    assert text.startswith('{"level":"warn","ts":"')
    assert text.endswith(f'Z","caller":"x","msg":"slow disk","took_s":3,"process":"worker-0","pid":{os.getpid()}}}\n')
