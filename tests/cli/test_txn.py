from __future__ import annotations

from tests.cli.conftest import Run


def test_a_transaction_prints_each_answer_after_an_empty_line(oarlock: Run) -> None:
    oarlock("put", "k", "old")
    text = b'value("k") = "old"\n\nput k new --prev-kv\nget other\ndel gone\n\nput never 1\n\n'
    assert oarlock("txn", stdin=text).out == b"SUCCESS\n\nOK\nk\nold\n\n\n0\n"


def test_interactive_prompts_for_each_block(oarlock: Run) -> None:
    result = oarlock("txn", "-i", stdin=b"\nput k 1\n\n\n")
    prompts = b"compares:\nsuccess requests (get, put, del):\nfailure requests (get, put, del):\n"
    assert result == (0, prompts + b"SUCCESS\n\nOK\n", "")


def test_a_lease_is_compared_in_hexadecimal(oarlock: Run) -> None:
    lease = oarlock("lease", "grant", "60").out.split()[1].decode()
    oarlock("put", "k", "1", "--lease", lease)
    assert oarlock("txn", stdin=f'lease("k") = "{lease}"\n\n\n\n'.encode()).out == b"SUCCESS\n"
    assert oarlock("txn", stdin=b'lease("k") > "0"\n\n\n\n').out == b"SUCCESS\n"
    assert oarlock("txn", stdin=b'lease("k") != "0"\n\n\n\n').out == b"SUCCESS\n"
    assert oarlock("txn", stdin=b'lease("k") < "1"\n\n\n\n').out == b"FAILURE\n"


def test_a_put_without_a_value_is_refused(oarlock: Run) -> None:
    result = oarlock("txn", stdin=b"\nput k\n\n\n")
    assert (result.code, result.err) == (128, "Error: put command needs 2 arguments in a transaction\n")


def test_text_that_ends_early_is_refused(oarlock: Run) -> None:
    result = oarlock("txn", stdin=b"\nput k 1\n")
    assert result.code == 3
    assert result.err.startswith("Error: unexpected EOF")


def test_nothing_is_sent_of_a_malformed_transaction(oarlock: Run) -> None:
    assert oarlock("txn", stdin=b"\nput k 1\nfrob k\n\n\n").code == 3
    assert oarlock("get", "k").out == b""
