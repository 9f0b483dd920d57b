"""The page of figures: every suite has its place, and nothing else changes."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from oarlock.loadgen.figures import document, save
from oarlock.loadgen.measurements import Row
from oarlock.loadgen.write_page import filled, main

ROOT = Path(__file__).parents[2]
TEXT = "before\n<!-- bench:a -->\nold a\n<!-- /bench -->\nbetween\n<!-- bench:b -->\n<!-- /bench -->\nafter\n"


def test_a_place_is_filled_again_and_again() -> None:
    once = filled(TEXT, "a", "new \\1 a")
    assert once == TEXT.replace("old a", "new \\1 a")
    assert filled(filled(once, "b", "x"), "b", "") == filled(once, "b", "")


@pytest.mark.parametrize("text", ["", TEXT + TEXT, TEXT.replace("<!-- /bench -->\nbetween", "between")])
def test_a_page_without_exactly_one_place_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="bench:a"):
        filled(text, "a", "new")


def test_the_real_page_has_a_place_for_every_suite(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text((ROOT / "docs/performance.md").read_text())
    suites = ("single", "compare", "cluster", "etcd")
    for number, suite in enumerate(suites):
        save(document(suite, {"cores": 2}, [Row(f"row of {suite}", number, "ms")]), tmp_path / suite)
    files = [str(tmp_path / f"{suite}.json") for suite in suites]
    result = CliRunner().invoke(main, [*files, "--page", str(page)])
    assert result.exit_code == 0, result.output
    for number, suite in enumerate(suites):
        assert f"| row of {suite} | {number} ms |" in page.read_text()


@pytest.mark.parametrize(("content", "rule"), [("{", "not JSON"), ("[]", "figures of a suite"), ("{}", "figures")])
def test_a_file_that_no_suite_made_leaves_the_page_alone(tmp_path: Path, content: str, rule: str) -> None:
    page, file = tmp_path / "page.md", tmp_path / "wrong.json"
    page.write_text(TEXT)
    file.write_text(content)
    result = CliRunner().invoke(main, [str(file), "--page", str(page)])
    assert result.exit_code == 1
    assert rule in result.output
    assert page.read_text() == TEXT
