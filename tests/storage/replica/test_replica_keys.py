from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from replica_cases import compact, delete, entry, put

from oarlock.storage.replica import Replica
from oarlock.storage.replica.keys import LMDB_KEY_BYTES, SHORT_BYTES, stored_end, stored_key, stored_start, whole_keys

_LONG = SHORT_BYTES * b"p"
_EDGES = [b"a", _LONG[:-1], _LONG, _LONG + b"\0", _LONG + b"\0" + bytes(40), _LONG + b"a", _LONG + b"z" * 900, b"q"]

keys = st.one_of(
    st.sampled_from(_EDGES),
    st.binary(min_size=1, max_size=4),
    st.binary(max_size=6).map(lambda tail: _LONG[:-2] + tail + b"x"),
    st.binary(max_size=3).map(lambda tail: _LONG + tail),
)


@given(keys)
def test_a_stored_key_fits_into_lmdb_and_short_ones_stay_as_they_are(key: bytes) -> None:
    stored = stored_key(key)
    assert len(stored) <= LMDB_KEY_BYTES
    assert (stored == key) == (len(key) <= SHORT_BYTES)


@given(st.sets(keys), keys, st.none() | keys)
def test_bounds_and_groups_give_exactly_the_keys_of_a_range_in_order(
    present: set[bytes], start: bytes, end: bytes | None
) -> None:
    table = {stored_key(key): key for key in present}
    first, last = stored_start(start), None if end is None else stored_end(end)
    rows = ((stored, b"") for stored in sorted(table) if first <= stored and (last is None or stored < last))
    found = [key for key, _ in whole_keys(rows, start, end, table.__getitem__)]
    assert found == sorted(key for key in present if start <= key and (end is None or key < end))


def test_long_keys_are_read_counted_and_listed_in_order_now_and_then(replica: Replica) -> None:
    for key in reversed(_EDGES):
        put(replica, key, b"old")
    revision = replica.meta.revision
    for key in _EDGES:
        put(replica, key, key[-3:])
    delete(replica, _EDGES[4])
    left = [key for key in _EDGES if key != _EDGES[4]]
    with replica.read() as view:
        assert [kv[:2] for kv in view.scan(b"", None)] == [(key, key[-3:]) for key in left]
        assert [kv[0] for kv in view.scan(b"", None, revision=revision)] == _EDGES
        assert [kv[0] for kv in view.scan(_EDGES[2], _EDGES[6], keys_only=True)] == left[2:5]
        assert view.count(_EDGES[3], _EDGES[6]) == 2
        assert view.count(_EDGES[3], _EDGES[6], revision=revision) == 3
        assert view.get(_EDGES[6]) == (_EDGES[6], b"zzz", 3, revision + 7, 2, 0)
        assert [kv[0] for _, kv, _ in view.history(_EDGES[3], _EDGES[6], revision + 1, revision + 99)] == [
            *_EDGES[3:6],
            _EDGES[4],
        ]


def test_long_keys_can_have_leases_and_vanish_with_their_history(replica: Replica) -> None:
    with entry(replica) as view:
        view.grant_lease(5, 60)
        for key in _EDGES:
            view.put(key, b"", 5)
    with replica.read() as view:
        assert view.lease_keys(5) == _EDGES
    with entry(replica) as view:
        view.revoke_lease(5)
    compact(replica, put(replica, b"other"))
    with replica.read() as view:
        assert [kv[0] for kv in view.scan(b"", None)] == [b"other"]
        assert view.transaction.stat(view.tables.long_keys)["entries"] == 0
