"""Reports and pictures: what they show, that they stand alone, and what is said where they cannot be drawn."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from oarlock.loadgen import commands, pictures
from oarlock.loadgen.histogram import Histogram
from oarlock.loadgen.html_report import Charted, page
from oarlock.loadgen.pictures import growth, latency_curves, short, time_line
from oarlock.loadgen.timeline import Timeline
from tests.loadgen.load_server import LoadServer


def histogram(*latencies_ms: float) -> Histogram:
    made = Histogram()
    for latency_ms in latencies_ms:
        made.record(int(latency_ms * 1e6))
    return made


def texts(svg: str) -> list[str]:
    """All words of a picture, which must be well-formed."""
    return [text.strip() for text in ElementTree.fromstring(svg).itertext() if text.strip()]


def test_latency_curves_reach_as_far_as_there_are_requests() -> None:
    words = texts(latency_curves({"put": histogram(*range(1, 2000)), "nothing": Histogram()}))
    assert {"put", "0 %", "90 %", "99.9 %", "latency, ms"} <= set(words)
    assert not {"99.99 %", "nothing"} & set(words)


def test_a_time_line_shows_errors_only_where_there_are_some() -> None:
    timeline = Timeline()
    timeline.record(0.5, 10**6)
    assert "errors" not in texts(time_line("put", list(timeline.rows())))
    timeline.fail(2.5)
    assert "errors" in texts(time_line("put", list(timeline.rows())))


def test_the_same_figures_make_the_same_picture() -> None:
    def drawn(title: str) -> str:
        return growth(title, "clients", [1, 1000], {"puts": [5.0, 100.0]}, {"puts": [0.5, 0.7]})

    assert drawn("clients") == drawn("clients")
    assert {"1 K", "puts", "99th percentile, ms"} <= set(texts(drawn("clients")))
    ids = [set(re.findall(r'id="(p\w{8,})"', drawn(title))) for title in ("clients", "others")]
    assert ids[0]
    assert not ids[0] & ids[1]


@pytest.mark.parametrize(
    ("value", "text"),
    [(16, "16"), (1000, "1 K"), (1_000_000, "1 M"), (65536, "64 Ki"), (1 << 20, "1 Mi"), (1500, "1500")],
)
def test_numbers_are_short(value: int, text: str) -> None:
    assert short(value) == text


def test_a_page_stands_alone_and_escapes_what_it_shows() -> None:
    timeline = Timeline()
    timeline.record(0.1, 10**6)
    charted = Charted("put", {"requests": 1}, {"key": "<b>&"}, {"put": histogram(1)}, {"<i>": timeline})
    html = page(charted, {"cores": 2})
    assert html.count("<svg") == 2
    assert not re.search(r"""(src|href)=["'](?!#)""", html.replace("xlink:href", "href"))
    assert "<b>" not in html
    assert "<td>&lt;b&gt;&amp;</td>" in html
    assert "<i>" not in html


def test_a_page_of_a_load_without_answers_has_no_pictures() -> None:
    assert "<svg" not in page(Charted("put", {}, {}, {"put": Histogram()}, {"put": Timeline()}), {})


@pytest.mark.parametrize(
    "arguments", [["put"], ["watch-storm", "--watchers", "3"], ["large-values", "--value-size", "16"]]
)
def test_a_load_reports_itself(server: LoadServer, tmp_path: Path, arguments: list[str]) -> None:
    path = tmp_path / "report.html"
    arguments = [*arguments, "--endpoints", server.endpoint, "--total", "20", "--report", str(path)]
    result = CliRunner().invoke(commands.bench, arguments)
    assert result.exit_code == 0, result.output
    html = path.read_text()
    assert f"<h1>oarlock bench {arguments[0]}</h1>" in html
    assert "<svg" in html
    assert "<td>processor</td>" in html


def test_without_matplotlib_the_load_is_refused_before_it_begins(
    server: LoadServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "find_spec", lambda name: None)
    arguments = ["put", "--endpoints", server.endpoint, "--report", str(tmp_path / "report.html")]
    result = CliRunner().invoke(commands.bench, arguments)
    assert result.exit_code == 2
    assert "oarlock[report]" in result.output
    assert server.requests == 0


def test_a_report_without_a_directory_is_refused_before_the_load(server: LoadServer, tmp_path: Path) -> None:
    arguments = ["put", "--endpoints", server.endpoint, "--report", str(tmp_path / "none" / "report.html")]
    result = CliRunner().invoke(commands.bench, arguments)
    assert result.exit_code == 2
    assert server.requests == 0
