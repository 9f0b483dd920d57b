from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oarlock import OarlockError
from oarlock.cli.commands.txn import builder
from oarlock.cli.errors import BadArgumentsError, BadFeatureError, CommandError, FlagError, InvalidInputError
from oarlock.cli.requests import DeleteRequest, GetRequest, PutRequest
from oarlock.cli.txn_grammar import CompareLine, TxnText, parse_compare, parse_request


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b'ver("k") > "0"', CompareLine("version", b"k", ">", 0)),
        (b'version("k") = "1"', CompareLine("version", b"k", "=", 1)),
        (b'c("k") != "-1"', CompareLine("create", b"k", "!=", -1)),
        (b'create("k")  =  "5"', CompareLine("create", b"k", "=", 5)),
        (b'm( "k" ) < "7"', CompareLine("mod", b"k", "<", 7)),
        (b'mod("a) = b") < "7"', CompareLine("mod", b"a) = b", "<", 7)),
        (b'val("a\\"b") = "c\\n\\xff"', CompareLine("value", b'a"b', "=", b"c\n\xff")),
        (b'value("k") = ""', CompareLine("value", b"k", "=", b"")),
        (b'lease("k") = "1f"', CompareLine("lease", b"k", "=", 0x1F)),
    ],
)
def test_reads_compares(line: bytes, expected: CompareLine) -> None:
    assert parse_compare(line) == expected


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"foo", "malformed comparison: foo"),
        (b'foo("k") = "1"', "unknown target foo"),
        (b'ver("k") >= "1"', "unknown operator >="),
        (b'ver("k") "1"', "unknown operator none"),
        (b'ver("k") ="1"', "malformed"),
        (b'ver(k) = "1"', "malformed"),
        (b'ver("k") = 1', "malformed"),
        (b'ver("k") = "1" and more', "malformed"),
        (b'ver ("k") = "1"', "malformed"),
        (b'ver("k") = "x"', 'invalid txn compare request: ver\\("k"\\) = "x"'),
        (b'ver("k") = "99999999999999999999"', "value out of range"),
        (b'lease("k") = "xyz"', "invalid syntax"),
        (b'val("\\q") = "1"', "invalid escape"),
    ],
)
def test_refuses_malformed_compares(line: bytes, problem: str) -> None:
    with pytest.raises(InvalidInputError, match=problem):
        parse_compare(line)


def test_reads_requests_with_their_flags() -> None:
    assert parse_request(b"put a 'b c' --lease=1f --prev-kv") == PutRequest(b"a", b"b c", 0x1F, True, False, False)
    assert parse_request(b"del --prefix a") == DeleteRequest(b"a", b"b", False)
    got = parse_request(b"get -- -a")
    assert isinstance(got, GetRequest)
    assert got.key == b"-a"


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"put", InvalidInputError),
        (b"txn a b", InvalidInputError),
        (b"put a 'b", InvalidInputError),
        (b"get a --bad", FlagError),
        (b"get a -w json", FlagError),
        (b"get a --limit=x", FlagError),
        (b"get a --order=FOO", BadFeatureError),
        (b"put a b c", BadArgumentsError),
        (b"del --prefix", BadArgumentsError),
        (b"get a --help", FlagError),
    ],
)
def test_refuses_malformed_requests(line: bytes, error: type[CommandError]) -> None:
    with pytest.raises(error):
        parse_request(line)


def test_three_empty_lines_end_the_text() -> None:
    text = TxnText()
    prompts = []
    for line in (b'ver("k") = "0"\n', b"\n", b"put k 1\n", b"get k\n", b" \t\n", b"\n"):
        prompts.append(text.prompt)
        text.feed(line)
    assert text.done
    assert prompts == ["compares:"] * 2 + ["success requests (get, put, del):"] * 3 + [
        "failure requests (get, put, del):"
    ]
    assert (len(text.compares), len(text.success), len(text.failure)) == (1, 2, 0)


PIECES = st.sampled_from(
    [b"ver", b"mod", b"val", b"lease", b"(", b")", b'"', b"'", b"\\", b"k", b"=", b"<", b"!=", b" ", b"1",
     b"put", b"get", b"del", b"--prefix", b"--limit", b"--lease=", b"--",
     b"-", b"\xff", b"\x00", b"@", b"--rev=-1", b"-w", b"--help"]
)  # fmt: skip
LINES = st.one_of(st.binary(), st.lists(PIECES).map(b"".join), st.lists(PIECES).map(b" ".join))


@given(st.lists(LINES, max_size=6))
def test_any_text_gives_a_transaction_or_a_clean_error(lines: list[bytes]) -> None:
    text = TxnText()
    with suppress(OarlockError):
        for line in lines:
            if not text.done:
                text.feed(line)
        for compare in text.compares:
            builder(compare)
        for request in (*text.success, *text.failure):
            request.operation()
