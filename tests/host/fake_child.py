"""A child process for tests of the supervisor: keeps its side of the hand-over, and otherwise does as it is told.

Usage: ``python fake_child.py [well|deaf|leaderless|fatal|dies|dies-first]``. It notes its starts and stops in
``<data-dir>/story``, a JSON object a line.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys

from oarlock.wire import process
from oarlock.wire.metrics import counter, gauge


def note(what: str) -> bool:
    """Writes a line of the story; says whether it is the first of this kind from this process name."""
    line = {"what": what, "name": process.process_name(), "pid": os.getpid(), "rebuild": process.rebuild_requested()}
    with open(os.path.join(process.child_settings()["data_dir"], "story"), "a+") as story:
        story.seek(0)
        earlier = [json.loads(text) for text in story]
        story.write(json.dumps(line) + "\n")
    return not any(other["what"] == what and other["name"] == line["name"] for other in earlier)


def main(behaviour: str) -> None:
    process.die_with_parent()
    process.set_process_title(f"oarlock: {process.process_name()}")
    ready, asked_to_stop = os.pipe()
    os.set_blocking(asked_to_stop, False)
    signal.set_wakeup_fd(asked_to_stop, warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, lambda *_: None)
    first = note("started")
    counter("oarlock_test_starts_total", "Starts.").inc()
    gauge("oarlock_test_running", "Running.").set(1)
    if behaviour == "fatal":
        process.notify_fatal("the log is damaged")
        sys.exit(process.EXIT_FATAL)
    if behaviour == "dies":
        sys.exit(1)
    if behaviour == "dies-first" and first:
        sys.exit(process.EXIT_REBUILD)
    process.notify_ready(leader=behaviour != "leaderless" and process.process_name() == "coordinator")
    while behaviour == "deaf" or not select.select([ready], [], [], 0.2)[0]:
        process.notify_alive()
        if behaviour == "deaf":
            select.select([], [], [], 0.2)
    process.notify_stopping()
    note("stopped")


if __name__ == "__main__":
    main(sys.argv[1])
