"""The documentation names things that exist."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

from oarlock.cli.main import COMMANDS
from oarlock.host.settings import SETTINGS
from oarlock.wire.version import VERSION

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)


def project() -> dict[str, object]:
    with open(ROOT / "pyproject.toml", "rb") as file:
        found: dict[str, object] = tomllib.load(file)["project"]
        return found


@page
def test_commands_exist(path: Path) -> None:
    named = set(re.findall(r"(?:`|\$ |\$\()oarlock ([a-z]+(?:-[a-z]+)*)", path.read_text()))
    assert named <= {command.name for command in COMMANDS}


@page
def test_make_targets_exist(path: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert set(re.findall(r"(?:`|^)make ([a-z]+(?:-[a-z]+)*)", path.read_text(), flags=re.MULTILINE)) <= targets


@page
def test_links_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text())
    assert not [link for link in links if not (path.parent / link).exists()]


def test_every_setting_is_documented_with_its_default() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| (.*?) \|", (ROOT / "docs/operations.md").read_text(), flags=re.MULTILINE)
    defaults = {setting.flag: f"`{setting.default}`" if setting.default else "none" for setting in SETTINGS}
    defaults["workers"] = "one for each core but one, at least one"
    assert dict(rows) == defaults


def test_every_dependency_has_its_reason() -> None:
    text = (ROOT / "docs/dependencies.md").read_text()
    explained = set(re.findall(r"^\| ([a-z0-9-]+) \| ", text, flags=re.MULTILINE))
    declared = project()
    extras = declared["optional-dependencies"]
    assert isinstance(extras, dict)
    requirements = [*declared["dependencies"], *extras["test"], *extras["dev"], *extras["compile"]]  # type: ignore[misc]
    assert explained - {"package"} == {re.split(r"[<>=~\[]", requirement)[0] for requirement in requirements}


def test_the_version_is_one() -> None:
    assert version("oarlock") == VERSION == project()["version"]
