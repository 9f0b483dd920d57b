"""Our loop over header blocks, and our few blocks, against the `hpack` library's own."""

from __future__ import annotations

import pytest
from hpack import Decoder, Encoder
from hypothesis import example, given
from hypothesis import strategies as st

from oarlock.gateway.http2.faults import ConnectionFault, MisuseError
from oarlock.gateway.http2.header_decoder import HeaderDecoder
from oarlock.gateway.http2.header_encoder import HeaderEncoder
from oarlock.gateway.http2.headers import Fields, Headers

NAMES = st.sampled_from(
    [b":method", b":path", b"te", b"user-agent", b"grpc-timeout", b"x", b"content-length", b"long-" * 20]
)
VALUES = st.sampled_from([b"", b"POST", b"/", b"trailers", b"v" * 200, b"\x80\xff"]) | st.binary(max_size=12)
LISTS = st.lists(st.tuples(NAMES, VALUES, st.booleans()), max_size=12)


@example([0, [], 39, 39, [(b":method", b"", False)]], False)
@given(st.lists(LISTS | st.integers(0, 4096), max_size=12), st.booleans())
def test_any_encoder_is_understood(steps: list[list[tuple[bytes, bytes, bool]] | int], huffman: bool) -> None:
    encoder, decoder = Encoder(), HeaderDecoder(1 << 20)
    for step in steps:
        if isinstance(step, int):
            if step != encoder.header_table_size:  # this encoder forgets a change that is told twice
                encoder.header_table_size = step
            continue
        for _ in range(3):  # the later ones are equal blocks, where the table allows it
            decoded = decoder.decode(encoder.encode(step, huffman=huffman))
            assert decoded.fields == tuple((name, value) for name, value, _ in step)


def test_equal_blocks_are_decoded_once_until_the_table_changes() -> None:
    encoder, decoder = Encoder(), HeaderDecoder(1 << 20)
    fields = [(":method", "POST"), ("user-agent", "test")]
    decoder.decode(encoder.encode(fields))
    block = encoder.encode(fields)
    assert decoder.decode(block) is decoder.decode(block)
    before = decoder.decode(block)
    decoder.decode(encoder.encode([("user-agent", "other")]))
    assert decoder.decode(block).fields[1] == (b"user-agent", b"other")
    assert before.fields[1] == (b"user-agent", b"test")


def test_the_cache_is_bounded() -> None:
    decoder = HeaderDecoder(1 << 20)
    for n in range(1_000):
        decoder.decode(b"\x00\x01a\x04" + b"%04d" % n)
    assert len(decoder._cache) <= 64
    decoder.decode(b"\x00\x01a\x7f\x81\x01" + bytes(256))
    assert max(map(len, decoder._cache)) <= 256


@given(st.lists(LISTS, max_size=8))
def test_lists_are_judged_the_same_whether_they_share_or_not(lists: list[list[tuple[bytes, bytes, bool]]]) -> None:
    encoder, decoder = Encoder(), HeaderDecoder(1 << 20, b"grpc-timeout")
    for one in lists:
        fields = tuple((name, value) for name, value, _ in one)
        ours, alone = decoder.decode(encoder.encode(one)), Headers(fields)
        assert ours.fields == fields
        assert bool(ours.problem) == bool(alone.problem)
        assert ours.content_length == alone.content_length
        assert ours.own == next((value for name, value in fields if name == b"grpc-timeout"), None)


def test_lists_that_differ_in_one_field_share_the_rest() -> None:
    encoder, decoder = Encoder(), HeaderDecoder(1 << 20, b"grpc-timeout")
    lists = [[(":method", "POST"), ("grpc-timeout", f"{n}u"), ("te", "trailers")] for n in range(100, 400)]
    decoded = [decoder.decode(encoder.encode(one)) for one in lists]
    assert [one.own for one in decoded] == [b"%du" % n for n in range(100, 400)]
    assert all(one.shared is decoded[0].shared for one in decoded)
    assert decoded[0].shared is not None
    assert decoded[0].shared.fields == ((b":method", b"POST"), (b"grpc-timeout", b""), (b"te", b"trailers"))


def test_what_lists_share_is_bounded() -> None:
    decoder = HeaderDecoder(1 << 20)
    for n in range(1_000):
        decoder.decode(b"\x00\x01a\x04" + b"%04d" % n)
    decoder.decode(b"\x00\x01a\x7f\x81\x0f" + bytes(2_048))
    assert len(decoder._shared) <= 32
    assert max(len(value) for fields in decoder._shared for _, value in fields) < 2_048


@given(st.binary(max_size=300))
def test_any_bytes_are_a_list_or_a_compression_error(block: bytes) -> None:
    ours, library = HeaderDecoder(1 << 20), Decoder(max_header_list_size=1 << 20)
    try:
        expected = tuple((bytes(name), bytes(value)) for name, value in library.decode(block, raw=True))
    except Exception:
        with pytest.raises(ConnectionFault):
            ours.decode(block)
    else:
        assert ours.decode(block).fields == expected


REMEMBERED: Fields = ((b"content-type", b"application/grpc"), (b"grpc-status", b"0"))
OURS = st.lists(
    st.sampled_from([(b":status", b"200"), *REMEMBERED, (b"grpc-status", b"5"), (b"grpc-message", b"m" * 300)]),
    max_size=5,
)


@given(st.lists(OURS | st.sampled_from([0, 100, 4_095, 4_096, 65_536]), max_size=12))
def test_our_blocks_are_understood(steps: list[list[tuple[bytes, bytes]] | int]) -> None:
    encoder, decoder = HeaderEncoder(REMEMBERED), Decoder()
    for step in steps:
        if isinstance(step, int):
            encoder.limit_table(step)
            decoder.max_allowed_table_size = min(step, decoder.max_allowed_table_size)
        else:
            decoded = decoder.decode(encoder.encode(tuple(step)), raw=True)
            assert [(bytes(name), bytes(value)) for name, value in decoded] == step


def test_an_ordinary_answer_has_three_bytes_of_headers() -> None:
    encoder = HeaderEncoder(REMEMBERED)
    head, tail = ((b":status", b"200"), REMEMBERED[0]), (REMEMBERED[1],)
    for _ in range(2):
        sizes = len(encoder.encode(head)), len(encoder.encode(tail))
    assert sizes == (2, 1)


def test_too_much_to_remember_is_refused() -> None:
    with pytest.raises(MisuseError, match="4096"):
        HeaderEncoder(((b"x", bytes(5_000)),))
