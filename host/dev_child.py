"""One member of a development cluster, as a process: the server of ``oarlock serve``, which ends with its parent."""

from __future__ import annotations

import json
import sys

from oarlock.host import supervisor
from oarlock.host.settings import Settings
from oarlock.wire import process
from oarlock.wire.errors import OarlockError


def main() -> int:
    """Runs the server; returns its exit code."""
    process.die_with_parent()
    try:
        settings = Settings.from_json(json.dumps(process.child_settings()))
        process.set_process_title(f"oarlock: {settings.name}")
        return supervisor.run(settings)
    except OarlockError as problem:
        print(f"Error: {problem.message}", file=sys.stderr)
        return process.EXIT_FATAL


if __name__ == "__main__":
    sys.exit(main())
