"""The watch service, message by message (etcd: ``watchserver``, ``watchable_store``)."""

from __future__ import annotations

import pytest
from google.protobuf.message import DecodeError

from oarlock.gateway.proto.rpc_pb2 import WatchRequest
from oarlock.gateway.services import watch, watch_stream
from oarlock.gateway.services.watch_limits import WatchLimits
from oarlock.wire.errors import Code, LearnerRefusesError, OverloadedError
from oarlock.wire.metrics import REGISTRY

from .watch_store import DELETE, PUT, Reader, Store, told


@pytest.fixture
def store() -> Store:
    return Store(revision=10)


@pytest.fixture
def reader(store: Store) -> Reader:
    return Reader(store).open()


# Making and ending


def test_a_watch_is_made_with_the_stores_revision_and_the_ids_count_from_zero(reader: Reader) -> None:
    first, second = reader.create(b"a"), reader.create(b"b")
    assert (first.created, first.canceled, first.watch_id, first.header.revision) == (True, False, 0, 10)
    assert (first.header.cluster_id, first.header.member_id, first.header.raft_term) == (7, 8, 3)
    assert second.watch_id == 1


def test_automatic_ids_pass_over_those_in_use(reader: Reader) -> None:
    assert [reader.create(b"a", watch_id=wanted).watch_id for wanted in (1, 0, 0, 5, 0)] == [1, 0, 2, 5, 3]


def test_an_id_in_use_is_refused_and_the_old_watch_goes_on(reader: Reader, store: Store) -> None:
    reader.create(b"a", watch_id=5)
    refused = reader.create(b"b", watch_id=5)
    assert (refused.created, refused.canceled, refused.watch_id) == (True, True, -1)
    assert refused.cancel_reason == "mvcc: duplicate watch ID provided on the WatchStream"
    store.put(b"a")
    assert told(reader.take()) == [(5, [11])]
    assert store.hub.watcher_count == 1


def test_the_id_of_a_canceled_watch_may_be_used_again(reader: Reader, store: Store) -> None:
    reader.create(b"a", watch_id=5)
    (answer,) = reader.cancel_watch(5)
    assert (answer.canceled, answer.created, answer.watch_id, answer.cancel_reason) == (True, False, 5, "")
    assert (answer.header.revision, answer.compact_revision) == (10, 0)
    assert reader.create(b"b", watch_id=5).watch_id == 5
    store.commit([(b"a", b"1")], [(b"b", b"1")])
    assert told(reader.take()) == [(5, [12])]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"key": b"b", "range_end": b"a"}, "mvcc: watcher range is empty"),
        ({"key": b"a", "range_end": b"a"}, "mvcc: watcher range is empty"),
        (
            {"key": b"a", "start_revision": -1},
            "etcdserver: mvcc: required revision has been compacted",
        ),
    ],
)
def test_what_cannot_be_watched_is_refused_and_the_stream_stays(
    reader: Reader, store: Store, fields: dict[str, object], reason: str
) -> None:
    refused = reader.create(**fields)  # type: ignore[arg-type]
    assert (refused.created, refused.canceled, refused.watch_id) == (True, True, -1)
    assert (refused.cancel_reason, refused.compact_revision, refused.header.revision) == (reason, 0, 10)
    assert store.hub.watcher_count == 0
    assert reader.create(b"a").watch_id == 0


def test_a_watch_too_many_is_refused_in_words_that_clients_know(store: Store) -> None:
    reader = Reader(store, limits=WatchLimits(watches=1)).open()
    reader.create(b"a")
    refused = reader.create(b"a")
    assert refused.watch_id == -1
    assert refused.cancel_reason.startswith("rpc error: code = ResourceExhausted desc = etcdserver: too many requests")


def test_nothing_happens_for_an_unknown_id_an_empty_request_or_the_end_of_requests(
    reader: Reader, store: Store
) -> None:
    reader.create(b"a")
    assert reader.cancel_watch(9) == []
    assert reader.request() == []
    if reader.on_requests_ended is not None:
        reader.on_requests_ended()
    store.put(b"a")
    assert told(reader.take()) == [(0, [11])]
    assert reader.status is None


def test_the_end_of_the_stream_ends_all_that_it_had(store: Store) -> None:
    reader = Reader(store)
    reader.wants_leader = True
    reader.open()
    reader.create(b"a", progress_notify=True)
    reader.create(b"b", start_revision=1)
    reader.cancel()
    store.put(b"a")
    store.answer()
    assert (store.hub.watcher_count, store.timers) == (0, 0)
    assert told(reader.take()) == []


def test_a_message_that_is_none_ends_the_watches_and_is_the_callers_to_tell(reader: Reader, store: Store) -> None:
    reader.create(b"a")
    with pytest.raises(DecodeError):
        reader.ask(b"\xff\xff")
    assert store.hub.watcher_count == 0


def test_a_learner_refuses_the_stream(reader: Reader, store: Store) -> None:
    store.is_learner = True
    with pytest.raises(LearnerRefusesError):
        reader.create(b"a")


# Events


def test_live_events_come_a_revision_a_response_with_its_revision_in_the_header(reader: Reader, store: Store) -> None:
    reader.create(b"a", b"c")
    store.commit([(b"a", b"1"), (b"b", b"2")], [(b"c", b"no")], [(b"a", None)])
    first, second = reader.take()
    assert [(event.type, event.kv.key, event.kv.value) for event in first.events] == [
        (PUT, b"a", b"1"),
        (PUT, b"b", b"2"),
    ]
    assert (first.header.revision, second.header.revision) == (11, 13)
    (deletion,) = second.events
    assert deletion.type == DELETE
    assert (deletion.kv.key, deletion.kv.mod_revision) == (b"a", 13)
    assert (deletion.kv.create_revision, deletion.kv.version, deletion.kv.value) == (0, 0, b"")
    assert not deletion.HasField("prev_kv")


@pytest.mark.parametrize(("key", "range_end"), [(b"", b"\0"), (b"\0", b"\0"), (b"a", b"\0")])
def test_a_zero_byte_as_end_means_from_key_on(reader: Reader, store: Store, key: bytes, range_end: bytes) -> None:
    reader.create(key, range_end)
    store.put(b"zzz")
    assert told(reader.take()) == [(0, [11])]


def test_the_previous_kv_is_there_for_changes_and_deletions_but_not_for_creations(reader: Reader, store: Store) -> None:
    reader.create(b"a", prev_kv=True)
    store.commit([(b"a", b"1")], [(b"a", b"2")], [(b"a", None)])
    events = [response.events[0] for response in reader.take()]
    assert [event.HasField("prev_kv") for event in events] == [False, True, True]
    assert [event.prev_kv.value for event in events] == [b"", b"1", b"2"]


def test_filters_drop_events_and_leave_no_empty_responses(reader: Reader, store: Store) -> None:
    reader.create(b"a", filters=[0])
    reader.create(b"a", filters=[1])
    reader.create(b"a", filters=[0, 1])
    store.commit([(b"a", b"1")], [(b"a", None)])
    assert sorted(told(reader.take())) == [(0, [12]), (1, [11])]
    assert reader.create(b"a", start_revision=11, filters=[0]).watch_id == 3
    store.answer()
    assert told(reader.take()) == [(3, [12])]


def test_many_streams_get_the_same_bytes_and_each_its_own_id(store: Store) -> None:
    readers = [Reader(store).open() for _ in range(3)]
    for number, reader in enumerate(readers):
        reader.create(b"a", watch_id=number)
    store.commit([(b"a", b"1")], [(b"a", b"2")])
    assert readers[0].sent[0] in readers[1].sent[0]
    assert [told(reader.take()) for reader in readers] == [[(number, [11]), (number, [12])] for number in range(3)]


# History


def test_history_comes_before_what_is_live_without_gap_or_repetition(reader: Reader, store: Store) -> None:
    for value in (b"1", b"2", b"3"):
        store.put(b"a", value)
    assert reader.create(b"a", start_revision=12).header.revision == 13
    store.put(b"a", b"4")  # before the history has come: it is in it
    store.answer()
    store.put(b"a", b"5")
    history, live = reader.take()
    assert told([history, live]) == [(0, [12, 13, 14]), (0, [15])]
    assert (history.header.revision, live.header.revision) == (14, 15)


def test_what_happens_while_history_is_on_its_way_is_pulled_too(reader: Reader, store: Store) -> None:
    store.put(b"a")
    reader.create(b"a", start_revision=11)
    (request, done) = store.asked.pop()
    item = store._answer_to(request)  # the replica as it was when this was read
    store.put(b"a")
    done(item)
    store.answer()
    assert told(reader.take()) == [(0, [11]), (0, [12])]


def test_a_start_in_the_future_passes_over_what_is_before(reader: Reader, store: Store) -> None:
    assert reader.create(b"a", start_revision=13).header.revision == 10
    store.commit([(b"a", b"1")], [(b"a", b"2")])
    store.commit([(b"a", b"3")], [(b"a", b"4")])
    assert told(reader.take()) == [(0, [13]), (0, [14])]


def test_a_start_in_the_middle_of_a_drain_takes_the_rest_of_it(reader: Reader, store: Store) -> None:
    reader.create(b"a", start_revision=12)
    store.commit([(b"a", b"1")], [(b"a", b"2")], [(b"a", b"3")])
    assert told(reader.take()) == [(0, [12]), (0, [13])]


def test_a_compacted_start_is_made_and_then_canceled_with_the_compacted_revision(reader: Reader, store: Store) -> None:
    for _ in range(3):
        store.put(b"a")
    store.compact_revision = 12
    assert reader.create(b"a", start_revision=11).created
    assert reader.create(b"a", start_revision=12).created
    store.answer()
    canceled, events = reader.take()
    assert (canceled.watch_id, canceled.canceled, canceled.compact_revision) == (0, True, 12)
    assert (canceled.cancel_reason, canceled.header.revision, canceled.header.member_id) == ("", 0, 8)
    assert told([events]) == [(1, [12, 13])]
    assert store.hub.watcher_count == 1
    assert reader.cancel_watch(0) == []


def test_a_live_watch_does_not_mind_compaction(reader: Reader, store: Store) -> None:
    reader.create(b"a")
    store.put(b"b")
    store.compact_revision = store.revision
    store.put(b"a")
    assert told(reader.take()) == [(0, [12])]


def test_history_has_a_thousand_revisions_a_response_and_no_revision_is_split(store: Store) -> None:
    reader = Reader(store, limits=WatchLimits(pull_bytes=10**9)).open()
    store.commit(*([(b"a", b"1"), (b"b", b"2")] for _ in range(1001)))
    reader.create(b"a", b"c", start_revision=11)
    store.answer()
    first, second = reader.take()
    assert [len(first.events), len(second.events)] == [2000, 2]
    assert {first.header.revision, second.header.revision} == {1011}


def test_long_history_comes_in_slices_in_between_which_others_have_their_turn(store: Store) -> None:
    reader = Reader(store, limits=WatchLimits(pull_bytes=100)).open()
    store.commit(*([(b"a", b"1")] for _ in range(6)))
    reader.create(b"a", start_revision=11)
    reader.create(b"a", start_revision=15)
    store.answer()
    assert told(reader.take()) == [(0, [11, 12]), (1, [15, 16]), (0, [13, 14]), (0, [15, 16])]


def test_ten_thousand_watches_behind_ask_one_after_the_other_even_if_answers_come_at_once(store: Store) -> None:
    store.put(b"a")
    reader = Reader(store).open()
    for _ in range(10_000):
        reader.create(b"a", start_revision=11)
    store.answers_at_once = True
    store.answer(1)
    assert len(reader.take()) == 10_000


def test_only_so_many_streams_pull_at_a_time_and_all_get_their_turn(store: Store) -> None:
    store.put(b"a")
    readers = [Reader(store, limits=WatchLimits(pulls=2)).open()]
    readers += [Reader(store, beside=readers[0]).open() for _ in range(4)]
    for number, reader in enumerate(readers):
        reader.create(b"a", b"b%d" % number, start_revision=11)
    assert len(store.asked) == 2
    readers[1].cancel()
    readers[4].cancel()
    store.answer()
    assert [told(reader.take()) for reader in readers] == [[(0, [11])], [], [(0, [11])], [(0, [11])], []]


def test_what_many_watches_missed_alike_is_read_and_encoded_once(store: Store) -> None:
    readers = [Reader(store).open()]
    readers += [Reader(store, beside=readers[0]).open() for _ in range(9)]
    for reader in readers:
        reader.create(b"a")
    store.miss([(b"a", b"1")], [(b"a", b"2")])
    assert len(store.asked) == 1
    readers[3].cancel()
    store.answer()
    assert [reader.sent[0] is readers[0].sent[0] for reader in readers if reader is not readers[3]] == [True] * 9
    assert told(readers[0].take()) == [(0, [11, 12])]
    assert store.asked == []


def test_a_failed_pull_is_tried_again_after_a_pause(reader: Reader, store: Store) -> None:
    store.put(b"a")
    store.failure = OverloadedError()
    reader.create(b"a", start_revision=11)
    store.answer()
    assert reader.take() == []
    store.failure = None
    store.pass_time(watch_stream.PULL_PAUSE_S)
    store.answer()
    assert told(reader.take()) == [(0, [11])]


def test_a_stream_whose_pulls_fail_on_and_on_is_ended_so_that_the_client_goes_elsewhere(
    reader: Reader, store: Store
) -> None:
    store.put(b"a")
    store.failure = OverloadedError()
    store.answers_at_once = True
    reader.create(b"a", start_revision=11)
    store.pass_time(watch_stream.PULL_PAUSE_S * (watch_stream.MAX_PULL_FAILURES + 1))
    assert reader.status is not None
    assert reader.status.code == Code.RESOURCE_EXHAUSTED
    assert (store.hub.watcher_count, store.timers) == (0, 0)


def test_watches_pull_what_a_replaced_replica_has_more(reader: Reader, store: Store) -> None:
    reader.create(b"a")
    store.put(b"a")
    store.miss([(b"a", b"2")], [(b"b", b"2")])
    store.answer()
    store.put(b"a")
    assert told(reader.take()) == [(0, [11]), (0, [12]), (0, [14])]


# Fragments


def test_a_long_response_is_cut_into_fragments_for_those_who_want_it(store: Store) -> None:
    reader = Reader(store, max_request_bytes=1000 - watch.GRPC_OVERHEAD_BYTES).open()
    reader.create(b"a", b"b", fragment=True)
    reader.create(b"a", b"b")
    store.commit([(b"a%d" % number, b"x" * 400) for number in range(5)], [(b"a9", b"y" * 5000)])
    responses = reader.take()
    cut = [response for response in responses if response.watch_id == 0]
    assert [(len(one.events), one.fragment) for one in cut] == [(2, True), (2, True), (1, False), (1, False)]
    assert {one.header.revision for one in cut[:3]} == {11}
    assert [event.kv.key for one in cut for event in one.events] == [b"a0", b"a1", b"a2", b"a3", b"a4", b"a9"]
    whole = [response for response in responses if response.watch_id == 1]
    assert [(len(one.events), one.fragment) for one in whole] == [(5, False), (1, False)]
    assert reader.create(b"a", b"b", fragment=True, start_revision=11).watch_id == 2
    store.answer()
    history = reader.take()
    assert [one.fragment for one in history] == [True] * (len(history) - 1) + [False]
    assert len(history) > 2
    assert sum(len(one.events) for one in history) == 6


# Slow clients


def test_a_client_that_does_not_read_falls_back_to_history_and_hurts_nobody(store: Store) -> None:
    slow = Reader(store, limits=WatchLimits(queue_bytes=1000)).open()
    quick = Reader(store, beside=slow).open()
    slow.create(b"a")
    quick.create(b"a")
    slow.stop_reading()
    for _ in range(50):
        store.put(b"a", b"x" * 100)
    assert slow.queued_bytes < 1200
    assert told(quick.take()) == [(0, [revision]) for revision in range(11, 61)]
    assert store.asked == []
    slow.read_again()
    store.answer()
    store.put(b"a")
    revisions = [revision for _, many in told(slow.take()) for revision in many]
    assert revisions == list(range(11, 62))


def test_one_long_batch_is_sent_to_a_client_that_keeps_up(store: Store) -> None:
    reader = Reader(store, limits=WatchLimits(queue_bytes=1000)).open()
    reader.create(b"a")
    reader.stop_reading()
    store.put(b"a", b"x" * 5000)
    assert told(reader.take()) == [(0, [11])]


def test_a_batch_of_many_long_revisions_is_pulled_in_slices_and_one_long_revision_is_not(store: Store) -> None:
    reader = Reader(store, limits=WatchLimits(live_bytes=1000)).open()
    reader.create(b"a")
    store.commit([(b"a", b"x" * 2000)])
    assert (told(reader.take()), store.asked) == ([(0, [11])], [])
    store.commit([(b"a", b"x" * 600)], [(b"a", b"x" * 600)])
    assert reader.take() == []
    store.answer()
    assert told(reader.take()) == [(0, [12, 13])]
    store.put(b"a")
    assert told(reader.take()) == [(0, [14])]


def test_history_waits_while_the_clients_whole_connection_is_crowded(reader: Reader, store: Store) -> None:
    reader.create(b"a")
    reader.crowded = True
    store.put(b"a")
    store.pass_time(1.0)
    assert (reader.take(), store.asked) == ([], [])
    reader.crowded = False
    store.pass_time(1.0)
    store.answer()
    assert told(reader.take()) == [(0, [11])]


def test_a_watch_that_was_canceled_while_its_history_was_on_its_way_gets_none(reader: Reader, store: Store) -> None:
    store.put(b"a")
    reader.create(b"a", start_revision=11)
    reader.create(b"a", start_revision=11)
    reader.cancel_watch(0)
    reader.create(b"a", start_revision=11, watch_id=7)
    store.answer()
    assert told(reader.take()) == [(1, [11]), (7, [11])]


# Progress


def test_progress_on_request_speaks_for_all_watches_once(reader: Reader, store: Store) -> None:
    assert reader.ask_progress() == []
    reader.create(b"a")
    reader.create(b"b")
    store.put(b"c")
    (answer,) = reader.ask_progress()
    assert (answer.watch_id, answer.header.revision, len(answer.events)) == (-1, 11, 0)
    assert (answer.created, answer.canceled, answer.compact_revision) == (False, False, 0)


def test_progress_on_request_is_silent_until_every_watch_has_caught_up(reader: Reader, store: Store) -> None:
    store.put(b"a")
    reader.create(b"b")
    reader.create(b"a", start_revision=11)
    assert reader.ask_progress() == []
    store.answer()
    assert told(reader.take()) == [(1, [11])]
    assert [one.watch_id for one in reader.ask_progress()] == [-1]
    reader.create(b"a", start_revision=12)
    assert reader.ask_progress() == []


def test_progress_on_request_waits_for_no_pause_of_a_large_group() -> None:
    store = Store(revision=10, large_group=1)
    reader = Reader(store).open()
    reader.create(b"a")
    for _ in range(3):
        store.put(b"a")
    assert told(reader.take()) == [(0, [11])]
    events, progress = reader.ask_progress()
    assert (told([events]), progress.watch_id, progress.header.revision) == ([(0, [12, 13])], -1, 13)


def test_progress_comes_behind_the_events_that_it_speaks_of(reader: Reader, store: Store) -> None:
    reader.create(b"a")
    reader.stop_reading()
    store.put(b"a")
    reader.ask(WatchRequest(progress_request={}).SerializeToString())
    events, progress = reader.take()
    assert (told([events]), progress.header.revision) == ([(0, [11])], 11)


def test_a_watch_that_wants_it_is_notified_when_nothing_happened_for_an_interval(store: Store) -> None:
    reader = Reader(store, progress_interval_s=10.0).open()
    reader.create(b"a", progress_notify=True)
    reader.create(b"b")
    store.put(b"c")
    store.pass_time(11.0)
    (answer,) = reader.take()
    assert (answer.watch_id, answer.header.revision, len(answer.events)) == (0, 11, 0)


def test_a_watch_that_got_events_is_passed_over_once(store: Store) -> None:
    reader = Reader(store, progress_interval_s=10.0).open()
    reader.create(b"a", progress_notify=True)
    store.put(b"a")
    reader.take()
    store.pass_time(11.0)
    assert reader.take() == []
    store.pass_time(11.0)
    assert [one.header.revision for one in reader.take()] == [11]


def test_a_watch_that_is_behind_is_not_notified(store: Store) -> None:
    reader = Reader(store, progress_interval_s=10.0).open()
    store.put(b"a")
    reader.create(b"a", progress_notify=True, start_revision=11)
    reader.create(b"a", progress_notify=True, start_revision=100)
    store.pass_time(11.0)
    assert reader.take() == []


def test_thousands_of_watches_are_all_notified_and_the_clock_stops_with_the_last(store: Store) -> None:
    reader = Reader(store, progress_interval_s=10.0).open()
    for _ in range(2500):
        reader.create(b"a", progress_notify=True)
    store.pass_time(11.0)
    assert {one.watch_id for one in reader.take()} == set(range(2500))
    for watch_id in range(2500):
        reader.cancel_watch(watch_id)
    store.pass_time(12.0)
    assert store.timers == 0


# The leader


def test_a_stream_that_wants_a_leader_ends_when_there_was_none_for_three_elections(store: Store) -> None:
    reader, other = Reader(store), Reader(store)
    reader.wants_leader = True
    for each in (reader, other):
        each.open().create(b"a")
    store.has_leader = False
    store.pass_time(2.5)
    assert reader.status is None
    store.pass_time(1.0)
    assert reader.status is not None
    assert (reader.status.code, reader.status.message) == (Code.UNAVAILABLE, "etcdserver: no leader")
    assert (store.hub.watcher_count, other.status, store.timers) == (1, None, 0)


def test_a_short_election_ends_no_stream(store: Store) -> None:
    reader = Reader(store)
    reader.wants_leader = True
    reader.open().create(b"a")
    for _ in range(5):
        store.has_leader = False
        store.pass_time(2.0)
        store.has_leader = True
        store.pass_time(1.0)
    assert reader.status is None


# Figures


def figure(name: str) -> float:
    return REGISTRY.get_sample_value(f"etcd_debugging_mvcc_{name}_total") or 0.0


def test_streams_and_watches_that_are_behind_are_counted(store: Store) -> None:
    streams, slow = figure("watch_stream"), figure("slow_watcher")
    first, second = Reader(store).open(), Reader(store).open()
    store.put(b"a")
    for reader in (first, second):
        reader.create(b"a", start_revision=11)
        reader.create(b"a", start_revision=11)
    assert (figure("watch_stream") - streams, figure("slow_watcher") - slow) == (2, 4)
    first.cancel()
    assert (figure("watch_stream") - streams, figure("slow_watcher") - slow) == (1, 2)
    store.answer()
    assert (figure("watch_stream") - streams, figure("slow_watcher") - slow) == (1, 0)
    second.cancel()
    assert (figure("watch_stream") - streams, figure("slow_watcher") - slow) == (0, 0)


# Large groups


def test_what_a_pause_has_gathered_is_one_response_with_the_last_revision() -> None:
    store = Store(revision=10, large_group=1)
    reader, late = Reader(store).open(), Reader(store).open()
    reader.create(b"a")
    store.put(b"a")
    store.put(b"a")
    late.create(b"a", start_revision=13)
    store.put(b"a")
    store.commit([(b"b", b"1")])
    store.pass_time(1.0)
    first, gathered = reader.take()
    assert (told([first, gathered]), gathered.header.revision) == ([(0, [11]), (0, [12, 13])], 13)
    assert told(late.take()) == [(0, [13])]
