"""Builds the modules that every request passes as C extensions, by mypyc, when OARLOCK_COMPILE is set; else nothing.

Both forms are the same sources and the same package. Compiled, a lone request takes two thirds of the time, and a batch
a tenth to a third less processor (docs/performance.md). ``make`` asks for it where there is a C compiler.
"""

from __future__ import annotations

import os
import shutil
import tomllib
from pathlib import Path
from typing import Final

from setuptools import Extension, setup

ROOT: Final = Path(__file__).resolve().parent
TREE: Final = Path("build/compiled")
"""The sources as mypy must see them, one root with its subpackages, and the C that comes of them."""

FOLDERS: Final = (
    "wire",
    "storage",
    "storage/log",
    "storage/replica",
    "coordinator",
    "coordinator/raft",
    "workers",
    "workers/watch",
    "gateway",
    "gateway/http2",
    "gateway/grpc",
    "gateway/services",
)
"""Where a request passes. The command line starts sooner as it is."""

CLIENT: Final = ("connection.py", "direct_connection.py", "link.py", "pending.py", "session.py", "sync_driver.py")
"""What every call of a client passes, in the folder of the package itself. What takes users' arguments stays as it is:
it names what is wrong with them, and a compiled function would be first, with less to say."""

AS_THEY_ARE: Final = frozenset(
    {
        # Nothing in them is hot: programs to run, start, metrics, pages for people, what is asked once in a while.
        *("storage/replica/bench.py", "workers/watch/bench.py", "gateway/bench.py"),
        *("workers/process.py", "workers/late_http1.py", "workers/auto_compaction.py", "workers/etcd_metrics.py"),
        *("gateway/http1.py", "gateway/http_pages.py", "gateway/health_pages.py"),
        *("gateway/services/auth.py", "gateway/services/cluster.py", "gateway/services/maintenance.py"),
        *("gateway/services/reflection.py", "gateway/services/snapshot.py", "gateway/services/health.py"),
        *("storage/memory_disk.py", "storage/snapshot_layout.py", "storage/snapshots.py"),
        "storage/log/verification.py",
        *("wire/logs.py", "wire/process.py", "wire/metrics.py", "wire/process_metrics.py", "wire/exposition.py"),
        *("wire/taken_ports.py", "wire/version.py", "wire/sockets.py", "wire/members.py", "wire/scheduling.py"),
        *("coordinator/process.py", "coordinator/assembly.py", "coordinator/bootstrap.py", "coordinator/identity.py"),
        *("coordinator/members.py", "coordinator/member_metrics.py", "coordinator/raft/memory_storage.py"),
        "coordinator/restoring.py",
        *("coordinator/snapshot_exchange.py", "coordinator/snapshot_transfer.py", "coordinator/snapshotting.py"),
    }
)


def modules_of(folder: str) -> list[str]:
    """The sources of a folder that are to be compiled, from the root of the project."""
    found = (path.relative_to(ROOT).as_posix() for path in (ROOT / folder).glob("*.py") if path.name != "__init__.py")
    return sorted(set(found) - AS_THEY_ARE)


def extensions() -> list[Extension]:
    """What mypyc makes of them: one library a folder, so that several compile at once, and one stub a module."""
    from mypyc.build import mypycify

    package_dirs = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-dir"]
    shutil.rmtree(TREE / "oarlock", ignore_errors=True)
    (TREE / "oarlock").mkdir(parents=True)
    for path in (ROOT / package_dirs.pop("oarlock")).iterdir():
        (TREE / "oarlock" / path.name).symlink_to(path)
    for name, folder in package_dirs.items():
        (TREE / "oarlock" / name.removeprefix("oarlock.")).symlink_to(ROOT / folder)
    groups = [
        (
            [str(TREE / "oarlock" / module) for module in modules_of(folder)],
            f"oarlock.{folder.replace('/', '.')}.compiled",
        )
        for folder in FOLDERS
    ]
    groups.append(([str(TREE / "oarlock" / module) for module in CLIENT], "oarlock.compiled"))
    found = mypycify(
        # Its cache of one run makes the next one, of a few changed modules, forget constructors.
        [
            "--config-file",
            "pyproject.toml",
            "--cache-dir",
            os.devnull,
            *(path for paths, _ in groups for path in paths),
        ],
        opt_level="2",
        debug_level="0",
        separate=groups,
        multi_file=True,
        target_dir=str(TREE / "c"),
    )
    for extension in found:
        # The files of a group with a dotted name do not find their header, and it defines one table in each of them.
        extension.include_dirs.append(str(TREE.joinpath("c", *extension.name.split(".")[:-1])))
        extension.extra_compile_args.append("-fcommon")
    return found


setup(
    ext_modules=extensions() if os.environ.get("OARLOCK_COMPILE") else [],
    options={"build_ext": {"parallel": os.cpu_count()}},
)
