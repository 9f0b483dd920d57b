"""Runs a real supervisor over fake children: ``python fake_server.py '{"data-dir": ...}' coordinator=well ...``."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from oarlock.host import config
from oarlock.host.spawn import Program
from oarlock.host.supervisor import run
from oarlock.wire.errors import ConfigurationError

CHILD = str(Path(__file__).with_name("fake_child.py"))


def program(name: str, behaviour: str) -> Program:
    """A fake child by name: ``coordinator``, or ``worker-<number>``."""
    number = int(name.removeprefix("worker-")) if name.startswith("worker-") else None
    return Program(name, (sys.executable, CHILD, behaviour), number)


def main() -> int:
    settings = config.load(json.loads(sys.argv[1]), os.environ)
    try:
        return run(settings, [program(*argument.split("=")) for argument in sys.argv[2:]])
    except ConfigurationError as error:
        print(json.dumps({"event": "refused", "reason": error.message}), file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
