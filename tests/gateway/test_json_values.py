"""Where JSON values end."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oarlock.gateway.json.values import ValueSplitter, ValueTooLongError

STREAM = rb'{"a":"}]\"\\"} [{"b":[]}]' + b'\n\t{"c":"\xc3\xa9{"}{}'
VALUES = [rb'{"a":"}]\"\\"}', b'[{"b":[]}]', b'{"c":"\xc3\xa9{"}', b"{}"]


def split(*parts: bytes, max_bytes: int = 1000) -> tuple[list[bytes], bytes]:
    splitter = ValueSplitter(max_bytes)
    return [value for part in parts for value in splitter.feed(part)], splitter.end()


def test_values_are_found_whole_byte_by_byte_and_at_every_cut() -> None:
    assert split(STREAM) == (VALUES, b"")
    assert split(*(STREAM[at : at + 1] for at in range(len(STREAM)))) == (VALUES, b"")
    for at in range(len(STREAM)):
        assert split(STREAM[:at], STREAM[at:]) == (VALUES, b"")


@pytest.mark.parametrize("rest", [b"{", b'{"a', b'{"a\\', b"5", b"null", b'"x"', b"[[]"])
def test_what_is_cut_off_is_left_at_the_end(rest: bytes) -> None:
    assert split(b"{} " + rest) == ([b"{}"], rest)


def test_what_is_no_object_ends_somewhere() -> None:
    assert split(b"] 5 {}") == ([b"]", b"5 {}"], b"")


@pytest.mark.parametrize("size", [1, 3, 100])
def test_a_long_value_is_refused_however_it_comes(size: int) -> None:
    value = b'{"a":"' + b"x" * 100 + b'"}'
    parts = [value[at : at + size] for at in range(0, len(value), size)]
    assert split(*parts, max_bytes=len(value)) == ([value], b"")
    with pytest.raises(ValueTooLongError):
        split(*parts, max_bytes=len(value) - 1)


OBJECTS = st.dictionaries(st.text(max_size=5), st.recursive(st.text(max_size=5), st.lists, max_leaves=5), max_size=3)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(objects=st.lists(OBJECTS, max_size=5), size=st.integers(1, 20))
def test_any_objects_are_told_apart(objects: list[dict[str, Any]], size: int) -> None:
    stream = "\n ".join(map(json.dumps, objects)).encode()
    values, rest = split(*(stream[at : at + size] for at in range(0, len(stream), size)), max_bytes=10_000)
    assert [json.loads(value) for value in values] == objects
    assert rest == b""


@settings(max_examples=50, deadline=None, derandomize=True)
@given(parts=st.lists(st.binary(max_size=30) | st.text('{}[]"\\ x', max_size=30).map(str.encode)))
def test_any_bytes_are_cut_and_none_is_lost(parts: list[bytes]) -> None:
    values, rest = split(*parts, max_bytes=10_000)
    assert (b"".join(values) + rest).translate(None, b" \t\r\n") == b"".join(parts).translate(None, b" \t\r\n")
