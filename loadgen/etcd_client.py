"""The load on etcd: a small Go program around etcd's own client, so that the client is not what is measured.

The program's source is in the folder ``etcd_load`` beside this module; it is built where it is first needed.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

SOURCE: Final = Path(__file__).parent / "etcd_load"
BUILD_TIMEOUT_S: Final = 600.0
"""The first build compiles gRPC: two minutes on a busy machine."""
MARGIN_S: Final = 30.0
"""What a load may take beyond its time: connections, and its last requests."""


def build_etcd_load(target: Path) -> Path:
    """The program, built to ``target`` unless that is there and no older than its source. Needs Go, and its modules.

    Raises:
        RuntimeError: there is no Go, or it does not build.
    """
    return build_go(SOURCE, ".", target)


def build_go(source: Path, package: str, target: Path) -> Path:
    """A Go program, built to ``target`` unless that is there and no older than its source. Needs Go, and its modules.

    Args:
        source: the folder of its module.
        package: the package to build: "." or one that the module requires.
        target: the program.

    Raises:
        RuntimeError: there is no Go, or it does not build.
    """
    newest = max(path.stat().st_mtime for path in source.iterdir())
    if target.is_file() and target.stat().st_mtime >= newest:
        return target
    go = shutil.which("go")
    if go is None:
        raise RuntimeError(
            "the load on etcd is a Go program, and there is no Go here: install it, or leave etcd out with --no-etcd"
        )
    command = [go, "build", "-trimpath", "-buildvcs=false", "-o", str(target.resolve()), package]
    built = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=BUILD_TIMEOUT_S, check=False)
    if built.returncode:
        raise RuntimeError(f"the load on etcd does not build: {built.stderr.strip()}")
    return target


def client_version() -> str:
    """The version of etcd's Go client that the program is built with: "v3.5.17"."""
    found = re.search(r"go\.etcd\.io/etcd/client/v3 (\S+)", (SOURCE / "go.mod").read_text())
    assert found is not None
    return found[1]


def load_flags(**values: object) -> list[str]:
    """Arguments of the program: in_flight=3 becomes -in-flight 3."""
    return [word for name, value in values.items() for word in (f"-{name.replace('_', '-')}", str(value))]


async def run_etcd_load(program: Path, seconds: float, *flags: str) -> dict[str, Any]:
    """Runs the program for ``seconds``; what it printed.

    Raises:
        RuntimeError: it failed, or did not end; or requests failed, so that the figures are not what they say.
    """
    process = await asyncio.create_subprocess_exec(
        str(program),
        *("-seconds", str(seconds), *flags),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # see own_etcd
    )
    try:
        async with asyncio.timeout(seconds + MARGIN_S):
            output, problems = await process.communicate()
    except TimeoutError:
        raise RuntimeError(f"the load on etcd did not end within {seconds + MARGIN_S} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise RuntimeError(f"the load on etcd failed: {problems.decode(errors='replace').strip()[-2000:]}")
    figures: dict[str, Any] = json.loads(output)
    if figures["errors"]:
        raise RuntimeError(f"etcd: requests failed: {figures['errors']}")
    return figures
