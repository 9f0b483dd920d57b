from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oarlock.cli.errors import InvalidInputError
from oarlock.cli.gotext import quote
from oarlock.cli.words import split_words


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"", []),
        (b"  put\ta   b ", [b"put", b"a", b"b"]),
        (b"put 'a b' 'c\\nd'", [b"put", b"a b", b"c\\nd"]),
        (b'put "a b" "c\\nd\\xff"', [b"put", b"a b", b"c\nd\xff"]),
        (b"get '' \"\"", [b"get", b"", b""]),
        (b'put k"x"y don\'t', [b"put", b'k"x"y', b"don't"]),
        (b"put \xff \xc3\xa9", [b"put", b"\xff", b"\xc3\xa9"]),
    ],
)
def test_splits_and_unquotes(line: bytes, words: list[bytes]) -> None:
    assert split_words(line) == words


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"put 'a", "no closing '"),
        (b'put "a', 'no closing "'),
        (b"put 'a'b", "blank must follow"),
        (b'put "\\q"', "invalid escape"),
    ],
)
def test_refuses_bad_quoting(line: bytes, problem: str) -> None:
    with pytest.raises(InvalidInputError, match=problem):
        split_words(line)


@given(st.lists(st.binary(), max_size=5))
def test_quoted_words_come_back(words: list[bytes]) -> None:
    assert split_words(" ".join(quote(word) for word in words).encode()) == words


@given(st.binary())
def test_any_line_gives_words_or_a_clean_error(line: bytes) -> None:
    with suppress(InvalidInputError):
        assert all(isinstance(word, bytes) for word in split_words(line))
