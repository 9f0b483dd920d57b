"""put, get, del and compaction, as a user sees them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cli.conftest import Run


def test_put_takes_its_value_from_standard_input(oarlock: Run) -> None:
    assert oarlock("put", "k", stdin=b"\x00\xff\r\n\n").out == b"OK\n"
    assert oarlock("get", "k").out == b"k\n\x00\xff\r\n\n\n"


def test_keys_and_values_need_not_be_utf_8(oarlock: Run) -> None:
    assert oarlock("put", b"\xff\xfe", b"\x80").code == 0
    assert oarlock("get", b"\xff\xfe").out == b"\xff\xfe\n\x80\n"


def test_a_value_for_a_put_that_keeps_the_value_is_not_read_from_standard_input(oarlock: Run) -> None:
    oarlock("put", "k", "kept")
    assert oarlock("put", "k", "--ignore-value", stdin=b"other").code == 0
    assert oarlock("get", "k", "--print-value-only").out == b"kept\n"


@pytest.mark.parametrize("arguments", [[], ["a", "b", "c"]])
def test_put_counts_its_arguments(oarlock: Run, arguments: list[str]) -> None:
    result = oarlock("put", *arguments)
    assert (result.code, result.err) == (
        128,
        "Error: put command needs 1 argument and input from stdin or 2 arguments\n",
    )


@pytest.mark.parametrize(
    ("line", "keys"),
    [
        ("get a c", ["a", "b", "ba"]),
        ("get b --from-key", ["b", "ba", "c"]),
        ("get b --prefix", ["b", "ba"]),
        ("get a --from-key --limit 2", ["a", "b"]),
        ("get a --from-key --order descend --limit 1", ["c"]),
        ("get a --from-key --sort-by modify --order descend --limit 1", ["a"]),
        ("get a --from-key --min-mod-rev 5", ["a", "c"]),
        ("get a --from-key --max-create-rev 3", ["a", "b"]),
        ("get a --from-key --rev 3", ["a", "b"]),
    ],
)
def test_get_selects(oarlock: Run, line: str, keys: list[str]) -> None:
    for key in ("a", "b", "ba", "c", "a"):
        oarlock("put", key, "v")
    assert oarlock(*line.split(), "--keys-only").out.decode().split() == keys


@pytest.mark.parametrize("flag", ["--prefix", "--from-key"])
def test_an_empty_key_with_a_range_flag_is_every_key(oarlock: Run, flag: str) -> None:
    oarlock("put", "a", "1")
    oarlock("put", b"\xff\xff", "2")
    assert oarlock("get", "", flag, "--print-value-only").out == b"1\n2\n"
    assert oarlock("del", "", flag).out == b"2\n"


def test_get_without_a_match_prints_nothing(oarlock: Run) -> None:
    assert oarlock("get", "nothing") == (0, b"", "")


def test_serializable_reads_are_asked_for(oarlock: Run, client: Any) -> None:
    oarlock("get", "k", "--consistency", "s")
    assert client.sent == [(1, b"k", 1)]


def test_a_range_flag_of_del_is_taken(oarlock: Run) -> None:
    oarlock("put", "a", "1")
    assert oarlock("del", "a", "b", "--range").out == b"1\n"


def test_a_bad_limit_is_named(oarlock: Run) -> None:
    assert oarlock("get", "k", "--limit", "-1").err.startswith("Error: limit must be")


def test_compaction_waits_where_it_is_asked_to(oarlock: Run, client: Any) -> None:
    oarlock("put", "k", "v")
    assert oarlock("compaction", "2", "--physical").out == b"compacted revision 2\n"
    assert client.sent[-1] == (13, 2, True)


def test_json_escapes_what_go_escapes_and_leaves_keys_in_base64(oarlock: Run) -> None:
    oarlock("put", "<k>", "v")
    assert b'"key":"PGs+","create_revision":2' in oarlock("get", "<k>", "-w", "json").out
