"""Growth: what is measured at each point, and how it comes into the page."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from oarlock.loadgen.growth import PACED, PUTS, READS, STORM, SWEEPS
from oarlock.loadgen.growth_page import main, table
from oarlock.loadgen.growth_suite import measure

ROOT = Path(__file__).parents[2]


def cell(rate: float) -> dict[str, float]:
    return {"rate": rate, "p50_ms": 1 / rate, "p99_ms": 2 / rate, "generator_us": 3.0}


def sweep(unit: str, points: dict[int, dict[str, float]]) -> dict[str, Any]:
    """One whose rates are given; medians and 99th percentiles follow from them."""
    return {
        "unit": unit,
        "points": [
            {"at": at, "loads": {load: cell(rate) for load, rate in loads.items()}} for at, loads in points.items()
        ],
    }


def test_a_table_has_a_line_for_each_point() -> None:
    lines = table("keys", sweep("keys", {1000: {PUTS: 200.0}, 1_000_000: {PUTS: 100.0}})).splitlines()
    assert lines[0] == "| keys | puts: a second | median, ms | 99 %, ms | client, µs |"
    assert lines[2:] == ["| 1 K | 200 | 0.005 | 0.01 | 3 |", "| 1 M | 100 | 0.01 | 0.02 | 3 |"]


def test_values_have_their_bytes_a_second() -> None:
    lines = table("value-size", sweep("bytes of a value", {65536: {PUTS: 160.0}})).splitlines()
    assert lines[2].startswith("| 64 Ki | 160 | 10 |")


def test_the_real_page_has_a_place_for_every_sweep(tmp_path: Path) -> None:
    page, file = tmp_path / "page.md", tmp_path / "growth.json"
    page.write_text((ROOT / "docs/performance.md").read_text())
    sweeps = {name: sweep(each.unit, {1: {PUTS: 5.0}, 10: {PUTS: 7.0}}) for name, each in SWEEPS.items()}
    file.write_text(json.dumps({"machine": {"cores": 2}, "sweeps": sweeps}))
    result = CliRunner().invoke(main, [str(file), "--page", str(page)])
    assert result.exit_code == 0, result.output
    for name in SWEEPS:
        assert f"(growth/{name}.svg)" in page.read_text()
        assert (tmp_path / "growth" / f"{name}.svg").read_text().startswith("<svg")


@pytest.mark.parametrize("content", ["{", '{"machine": {}}'])
def test_a_file_that_the_suite_did_not_make_leaves_the_page_alone(tmp_path: Path, content: str) -> None:
    page, file = tmp_path / "page.md", tmp_path / "wrong.json"
    page.write_text("<!-- bench:growth -->\n<!-- /bench -->\n")
    file.write_text(content)
    assert CliRunner().invoke(main, [str(file), "--page", str(page)]).exit_code == 1
    assert page.read_text() == "<!-- bench:growth -->\n<!-- /bench -->\n"


@pytest.mark.parametrize(("name", "loads"), [("clients", {PUTS, READS}), ("watchers", {STORM, PACED})])
def test_every_point_is_measured(tmp_path: Path, name: str, loads: set[str]) -> None:
    figures = asyncio.run(measure(tmp_path, [name], 0.2, 2))
    points = figures["sweeps"][name]["points"]
    assert [point["at"] for point in points] == [1, 10]
    for point in points:
        assert point["loads"].keys() == loads
        assert all(cell["rate"] > 0 and cell["p99_ms"] >= cell["p50_ms"] > 0 for cell in point["loads"].values())
    assert list(tmp_path.iterdir()) == []
