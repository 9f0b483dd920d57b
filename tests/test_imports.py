"""The directions of imports: which package may know which, and no circles."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]

# Folder at the top: what its modules may import of ours, as prefixes. "client" is the root package, `oarlock` itself.
ALLOWED = {
    "wire": (),
    "storage": ("wire",),
    "coordinator": ("wire", "storage.log", "storage.snapshots", "storage.disk"),  # the disk is the seam below the log
    "gateway": ("wire",),
    "workers": ("wire", "storage", "gateway"),
    "client": ("wire",),
    "host": ("wire", "storage", "coordinator", "gateway", "workers", "client"),
    "cli": ("client", "host"),
    "loadgen": ("client", "wire"),
}


class Import(NamedTuple):
    """One import: between modules named from the top folder on (``wire.errors``), at a line."""

    importer: str
    imported: str
    line: int
    for_types_only: bool


@cache
def modules() -> dict[str, Path]:
    """Every module of ours by its name from the top folder on: ``client.sync``, ``storage.log``."""
    found = {}
    for folder in ALLOWED:
        for path in (ROOT / folder).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def imports() -> list[Import]:
    return [one for name, path in modules().items() for one in imports_of(name, ast.parse(path.read_text()))]


def imports_of(importer: str, tree: ast.AST) -> Iterator[Import]:
    hints = {id(node) for branch in ast.walk(tree) if is_type_checking(branch) for node in ast.walk(branch)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            origin = absolute(importer, node)
            names = [f"{origin}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            if imported := our_module(name):
                yield Import(importer, imported, node.lineno, id(node) in hints)


def absolute(importer: str, node: ast.ImportFrom) -> str:
    """What an import is from, dots in front resolved: ``.watch`` in ``workers.hub`` is ``oarlock.workers.watch``."""
    if not node.level:
        return node.module or ""
    is_package = modules().get(importer, Path()).name == "__init__.py"
    parts = ["oarlock", *importer.split(".")]
    base = parts[: len(parts) - node.level + is_package]
    return ".".join([*base, *filter(None, [node.module])])


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def our_module(name: str) -> str | None:
    """``oarlock.wire.errors.OarlockError`` lives in ``wire.errors``; None for what is not ours."""
    parts = name.split(".")
    if parts[0] != "oarlock":
        return None
    rest = parts[1:]
    if not rest or rest[0] not in ALLOWED or rest[0] == "client":
        rest = ["client", *rest]
    while rest and ".".join(rest) not in modules():
        rest.pop()
    return ".".join(rest) or None


def is_allowed(one: Import) -> bool:
    folder = one.importer.split(".")[0]
    prefixes = (folder, *ALLOWED[folder])
    # The bare package of a partly allowed one is its empty __init__, which holds nothing to know.
    return any(f"{one.imported}.".startswith(f"{prefix}.") for prefix in prefixes)


@pytest.mark.parametrize("folder", [folder for folder in ALLOWED if (ROOT / folder).is_dir()])
def test_a_package_imports_only_what_it_may(folder: str) -> None:
    mine = [one for one in imports() if one.importer.split(".")[0] == folder]
    wrong = {f"{one.importer}:{one.line} imports {one.imported}" for one in mine if not is_allowed(one)}
    assert not wrong


def test_every_folder_of_code_is_in_the_table() -> None:
    folders = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert folders <= ALLOWED.keys()


def circle(edges: set[tuple[str, str]]) -> list[str]:
    graph: dict[str, set[str]] = {}
    for importer, imported in edges:
        if importer != imported:
            graph.setdefault(importer, set()).add(imported)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found
    return []


def test_packages_have_no_circle() -> None:
    assert not circle({(one.importer.split(".")[0], one.imported.split(".")[0]) for one in imports()})


def test_modules_have_no_circle() -> None:
    assert not circle({(one.importer, one.imported) for one in imports() if not one.for_types_only})


def test_a_wrong_arrow_would_be_seen() -> None:
    source = "from oarlock.workers import watch\nimport oarlock.storage.replica\nfrom oarlock import connect"
    found = list(imports_of("coordinator.raft.core", ast.parse(source)))
    assert [one.imported for one in found] == ["workers.watch", "storage.replica", "client"]
    assert not any(is_allowed(one) for one in found)


def test_relative_imports_are_understood() -> None:
    found = imports_of("workers.hub", ast.parse("from . import watch\nfrom .watch import anything"))
    assert [one.imported for one in found] == ["workers.watch", "workers.watch"]


def test_a_circle_would_be_seen() -> None:
    assert circle({("a", "b"), ("b", "c"), ("c", "a")})


HEAVY = {"asyncio", "zmq", "msgpack", "lmdb", "uvloop", "structlog", "click", "rich", "aiohttp", "prometheus_client"}


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("oarlock", HEAVY),
        ("oarlock.cli.commands.serve", HEAVY - {"asyncio", "structlog", "click"}),
        ("oarlock.host.supervisor", {"zmq", "msgpack", "lmdb", "uvloop", "aiohttp", "rich", "prometheus_client"}),
    ],
)
def test_an_import_is_light(module: str, absent: set[str]) -> None:
    code = f"import {module}, sys; print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    assert not absent & set(loaded)
