"""Fixtures for all tests."""

from __future__ import annotations

import filecmp
import tomllib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import settings

from tests.server import Server, running

ROOT = Path(__file__).parents[1]

settings.register_profile("oarlock", deadline=None)  # a busy machine is no failure of the code
settings.load_profile("oarlock")


def pytest_configure(config: pytest.Config) -> None:
    """Ends a run that would test an older copy of the sources than the one that is read here."""
    if not hasattr(config, "workerinput") and (stale := stale_copies()):
        pytest.exit(
            f"what is installed is older than its source ({stale[0]}): make setup-test installs it", returncode=4
        )


def stale_copies() -> list[str]:
    """Sources of which another version is installed; none where they are installed editable."""
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-dir"]
    found = []
    for package, folder in packages.items():
        spec = find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        installed = Path(spec.origin).parent
        if installed != ROOT / folder:
            names = [path.relative_to(ROOT / folder) for path in (ROOT / folder).rglob("*.py")]
            found += [f"{folder}/{name}" for name in names if not _same(installed / name, ROOT / folder / name)]
    return found


def _same(installed: Path, source: Path) -> bool:
    return installed.exists() and filecmp.cmp(installed, source, shallow=False)


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for all tests of one test process that keep to keys of their own and do it no harm."""
    with running(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server of the test's own, with empty data, which it may kill."""
    with running(tmp_path) as own:
        yield own
