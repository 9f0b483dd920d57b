"""Pages of a list: the same rows whether they come as kvs or as bytes, and by whichever way they became these."""

from __future__ import annotations

from typing import Any

import pytest

from oarlock.gateway.proto.rpc_pb2 import RangeResponse
from oarlock.storage.replica.read import ReadView
from oarlock.wire.errors import DamageError, FutureRevisionError
from oarlock.wire.operations import Op
from oarlock.workers.pages import EncodedPage, KvPage, Page
from tests.gateway.key_value_message import to_message
from tests.workers.harness import Harness

PUT, GRANT = int(Op.PUT), int(Op.LEASE_GRANT)
LONGEST_LEASE = (1 << 63) - 1
KEYS = [b"a", b"ab", b"b" * 127, b"b" * 128, b"c" * 600, b"d"]


@pytest.fixture
def filled(harness: Harness) -> Harness:
    """Keys of all lengths, values of none to many bytes, with and without leases, some of them written often."""
    harness.write([GRANT, 5, 60], [GRANT, LONGEST_LEASE, 60])
    for number in range(150):
        harness.write([PUT, b"a", b"v" * number])
    for number, key in enumerate(KEYS):
        harness.write([PUT, key, b"w" * (number * 70), (0, 5, LONGEST_LEASE)[number % 3]])
    return harness


def gathered(page: Page, view: ReadView, *, revision: int = 0, keys_only: bool = False, most: int | None = None) -> Any:
    for _ in page.gather(view, b"", None, revision, keys_only, most):
        pass
    return page.rows


@pytest.mark.parametrize("by_kvs", [True, False])
@pytest.mark.parametrize("keys_only", [True, False])
@pytest.mark.parametrize("behind", [0, 3])
@pytest.mark.parametrize("most", [None, 1, 4])
def test_an_encoded_page_reads_as_the_kvs(
    filled: Harness, by_kvs: bool, keys_only: bool, behind: int, most: int | None
) -> None:
    with filled.replica.read() as view:
        revision = view.revision - behind
        kvs = gathered(KvPage(), view, revision=revision, keys_only=keys_only, most=most)
        page = EncodedPage(by_kvs=by_kvs)
        rows = gathered(page, view, revision=revision, keys_only=keys_only, most=most)
    assert [kv[0] for kv in kvs] == KEYS[: len(KEYS) - behind][:most]
    assert list(RangeResponse.FromString(rows.body).kvs) == [to_message(kv) for kv in kvs]
    assert (rows.length, rows.last_key) == (len(kvs), kvs[-1][0])
    assert (page.count, page.size_bytes) == (rows.length, len(rows.body))


def test_a_page_without_rows_is_empty(harness: Harness) -> None:
    with harness.replica.read() as view:
        assert gathered(EncodedPage(by_kvs=False), view) == (b"", 0, b"")


def test_a_revision_that_is_yet_to_come_is_refused(filled: Harness) -> None:
    with filled.replica.read() as view, pytest.raises(FutureRevisionError):
        gathered(EncodedPage(by_kvs=False), view, revision=view.revision + 1)


def test_a_record_of_the_wrong_length_is_damage(filled: Harness) -> None:
    with filled.replica.write() as writing:
        writing.transaction.put(b"ab", b"short", db=writing.tables.current)
        writing.end_entry(writing.applied_index + 1, 1, writing.position)
    with filled.replica.read() as view, pytest.raises(DamageError):
        gathered(EncodedPage(by_kvs=False), view)
