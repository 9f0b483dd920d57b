from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oarlock.cli import gotext


@pytest.mark.parametrize(
    ("data", "quoted"),
    [
        (b"", '""'),
        (b'a"b\\c', r'"a\"b\\c"'),
        (b"\a\b\f\n\r\t\v\x00\x1f\x7f", r'"\a\b\f\n\r\t\v\x00\x1f\x7f"'),
        ("é😀".encode(), '"é😀"'),
        ("\u2028\xa0\U000e0001".encode(), r'"\u2028\u00a0\U000e0001"'),
        (b"\xff\xc3\xe2\x28", r'"\xff\xc3\xe2("'),
    ],
)
def test_quotes_as_go_does(data: bytes, quoted: str) -> None:
    assert gotext.quote(data) == quoted


@given(st.binary())
def test_unquote_is_the_inverse_of_quote(data: bytes) -> None:
    assert gotext.unquote(gotext.quote(data)[1:-1].encode()) == data


@pytest.mark.parametrize("inner", [rb"\q", rb"\x1", rb"\'", rb"\777", rb"\ud800", rb"\U00110000", b"\\"])
def test_unquote_refuses_what_go_refuses(inner: bytes) -> None:
    with pytest.raises(ValueError, match="invalid escape"):
        gotext.unquote(inner)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5s", 5.0),
        ("500ms", 0.5),
        ("1m30s", 90.0),
        ("1.5h", 5400.0),
        ("-1s", -1.0),
        ("0", 0.0),
        ("2us", 2e-6),
        (".5s", 0.5),
    ],
)
def test_reads_durations(text: str, seconds: float) -> None:
    assert gotext.parse_duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "invalid duration"),
        ("x", "invalid duration"),
        ("5", "missing unit"),
        ("5x", "unknown unit"),
        ("1s-", "invalid|unknown"),
        ("9999999999h", "invalid duration"),
        ("٣s", "invalid duration"),
    ],
)
def test_refuses_what_is_no_duration(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        gotext.parse_duration_s(text)


@given(st.integers(0, 10**17))
def test_a_printed_duration_reads_back(nanoseconds: int) -> None:
    assert gotext.parse_duration_s(gotext.format_duration(nanoseconds)) == pytest.approx(nanoseconds / 1e9)


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [(5_000_397_732, "5.000397732s"), (1_913_810, "1.91381ms"), (3600 * 10**9, "1h0m0s"), (-1500, "-1.5µs")],
)
def test_prints_durations(nanoseconds: int, text: str) -> None:
    assert gotext.format_duration(nanoseconds) == text


@pytest.mark.parametrize(("text", "base", "number"), [("-5", 10, -5), ("ff", 16, 255), ("0x1F", 0, 31), ("017", 0, 15)])
def test_reads_integers(text: str, base: int, number: int) -> None:
    assert gotext.parse_int(text, base) == number


@pytest.mark.parametrize(
    ("text", "base"), [("", 10), ("1_0", 10), (" 1", 10), ("0x1", 16), ("zz", 16), ("--1", 10), ("٣", 10)]
)
def test_refuses_what_is_no_integer(text: str, base: int) -> None:
    with pytest.raises(ValueError, match="invalid syntax"):
        gotext.parse_int(text, base)


def test_refuses_integers_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="value out of range"):
        gotext.parse_int(str(1 << 63))


@given(st.text(), st.sampled_from([0, 10, 16]))
def test_integers_and_durations_fail_only_with_value_errors(text: str, base: int) -> None:
    with suppress(ValueError):
        assert gotext.parse_int(text, base) <= gotext.INT64_MAX
    with suppress(ValueError):
        assert abs(gotext.parse_duration_s(text)) < 1e10


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (9949, "9.9 kB"),
        (25_000, "25 kB"),
        (10**18, "1.0 EB"),
        (10**21, "1000 EB"),
    ],
)
def test_prints_sizes(size_bytes: int, text: str) -> None:
    assert gotext.format_size(size_bytes) == text
