from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oarlock.cli.errors import BadArgumentsError, CommandError, FlagError
from oarlock.cli.requests import WatchRequest
from oarlock.cli.watch_grammar import IgnoredLineError, ProgressLine, parse_watch_line

KEY = {b"OARLOCK_WATCH_KEY": b"env"}
RANGE = {**KEY, b"OARLOCK_WATCH_RANGE_END": b"f"}


@pytest.mark.parametrize(
    ("line", "environment", "expected"),
    [
        (b"watch a\n", {}, WatchRequest(b"a", b"", 0, False)),
        (b"watch a b --rev 5", {}, WatchRequest(b"a", b"b", 5, False)),
        (b"watch --prefix --prev-kv 'a b'", {}, WatchRequest(b"a b", b"a c", 0, True)),
        (b'watch "" --prefix', {}, WatchRequest(b"\0", b"\0", 0, False)),
        (b"watch a -- echo --x 'y z'", {}, WatchRequest(b"a", b"", 0, False, (b"echo", b"--x", b"y z"))),
        (b"watch", KEY, WatchRequest(b"env", b"", 0, False)),
        (b"watch -- echo", RANGE, WatchRequest(b"env", b"f", 0, False, (b"echo",))),
        (b"progress\n", {}, ProgressLine()),
    ],
)
def test_reads_lines(line: bytes, environment: dict[bytes, bytes], expected: WatchRequest | ProgressLine) -> None:
    assert parse_watch_line(line, environment) == expected


@pytest.mark.parametrize(
    "line", [b"", b"foo", b"watch", b"watch a b --prefix", b"watch a b c", b"watch -- echo", b"watch 'a", b"progress 1"]
)
def test_bad_lines_are_passed_over(line: bytes) -> None:
    with pytest.raises(IgnoredLineError, match="Invalid command"):
        parse_watch_line(line, {})


@pytest.mark.parametrize(
    ("line", "environment", "error"),
    [
        (b"watch a --", {}, BadArgumentsError),
        (b"watch a", KEY, BadArgumentsError),
        (b"watch", {b"OARLOCK_WATCH_RANGE_END": b"f"}, BadArgumentsError),
        (b"watch a --nope", {}, FlagError),
        (b"watch a --prefix=x", {}, FlagError),
    ],
)
def test_bad_arguments_end_the_command(line: bytes, environment: dict[bytes, bytes], error: type[CommandError]) -> None:
    with pytest.raises(error):
        parse_watch_line(line, environment)


PIECES = st.sampled_from(
    [b"watch", b"progress", b"a", b"--", b"--prefix", b"--rev", b"7", b"'", b'"', b"\\", b"\xff", b"-x"]
)


@given(st.one_of(st.binary(), st.lists(PIECES).map(b" ".join), st.lists(PIECES).map(b"".join)))
def test_any_line_gives_a_request_or_a_clean_error(line: bytes) -> None:
    with suppress(CommandError):
        assert isinstance(parse_watch_line(line, {}), WatchRequest | ProgressLine)
