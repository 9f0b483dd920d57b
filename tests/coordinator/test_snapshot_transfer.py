"""Snapshots in chunks over a link that loses frames, breaks, and forgets."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from oarlock.coordinator.peer_codec import PeerKind
from oarlock.coordinator.snapshot_transfer import (
    CHUNK_BYTES,
    GIVE_UP_S,
    SEND_AGAIN_S,
    WINDOW_CHUNKS,
    Offer,
    Outgoing,
    Receiving,
    Sending,
)

SIZE_BYTES = CHUNK_BYTES * 20 + 17
BODY = random.Random(1).randbytes(SIZE_BYTES)
OFFER = Offer(b"digest", 100, 3, SIZE_BYTES, 3)


def sending() -> Sending:
    return Sending(OFFER, lambda offset, count: BODY[offset : offset + count], 0.0)


def transfer(lose: Callable[[Outgoing], bool], *, most_s: float) -> bytes:
    """Runs a whole transfer; time passes only while nothing else happens. Returns what was received."""
    received = bytearray()
    sender, receiver = sending(), Receiving(OFFER, received.extend)
    now_s, frames = 0.0, sender.begin()
    while not receiver.complete:
        assert now_s <= most_s
        answers = []
        for kind, payload in (frame for frame in frames if not lose(frame)):
            answer = receiver.want() if kind == PeerKind.SNAPSHOT_OFFER else receiver.on_chunk(*payload)
            assert answer is not None
            answers.append(answer)
        frames = []
        for answer in answers:
            if not lose(answer):
                frames += sender.on_want(*answer[1], now_s)
        if not frames:
            now_s += SEND_AGAIN_S
            again = sender.tick(now_s)
            assert again is not None
            frames = again
    return bytes(received)


def test_a_snapshot_arrives_whole() -> None:
    assert transfer(lambda frame: False, most_s=0.0) == BODY


@pytest.mark.parametrize("seed", range(20))
def test_lost_frames_are_sent_again(seed: int) -> None:
    rng = random.Random(seed)
    assert transfer(lambda frame: rng.random() < 0.2, most_s=GIVE_UP_S) == BODY


def test_only_a_window_is_on_the_way() -> None:
    sender = sending()
    assert len(sender.on_want(OFFER.digest, 0, 0.0)) == WINDOW_CHUNKS
    assert sender.on_want(OFFER.digest, 0, 0.0) == []
    assert len(sender.on_want(OFFER.digest, CHUNK_BYTES, 0.0)) == 1


def test_a_broken_transfer_goes_on_where_it_was() -> None:
    sender = sending()
    first = sender.on_want(OFFER.digest, 5 * CHUNK_BYTES, 0.0)[0]
    assert first[1][1] == 5 * CHUNK_BYTES


def test_a_receiver_that_lost_what_it_had_gets_it_again() -> None:
    sender = sending()
    sender.on_want(OFFER.digest, 5 * CHUNK_BYTES, 0.0)
    assert sender.on_want(OFFER.digest, 0, 1.0)[0][1][1] == 0


def test_chunks_out_of_order_or_of_another_snapshot_are_not_taken() -> None:
    received = bytearray()
    receiver = Receiving(OFFER, received.extend)
    assert receiver.on_chunk(b"other", 0, b"x") is None
    assert receiver.on_chunk(OFFER.digest, 7, b"x") == receiver.want()
    assert receiver.on_chunk(OFFER.digest, 0, b"x" * (SIZE_BYTES + 1)) == receiver.want()
    assert not received


def test_a_wish_beyond_the_end_or_for_another_snapshot_is_passed_over() -> None:
    sender = sending()
    assert sender.on_want(OFFER.digest, SIZE_BYTES + 1, 0.0) == []
    assert sender.on_want(b"other", 0, 0.0) == []


def test_a_member_that_does_not_answer_is_given_up() -> None:
    sender = sending()
    assert sender.tick(SEND_AGAIN_S) == sender.begin()
    assert sender.tick(GIVE_UP_S) is None


def test_a_member_that_verifies_is_not_given_up() -> None:
    sender = sending()
    sender.on_want(OFFER.digest, SIZE_BYTES, 0.0)
    sender.on_want(OFFER.digest, SIZE_BYTES, GIVE_UP_S - 1)
    assert sender.tick(GIVE_UP_S) == sender.begin()
