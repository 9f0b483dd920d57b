"""JSON to messages and back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from oarlock.gateway.json import decoding
from oarlock.gateway.json.decoding import decode, is_repeated
from oarlock.gateway.json.encoding import PIECE_BYTES, encode, pieces
from oarlock.gateway.json.faults import BodyError
from oarlock.gateway.json.routes import routes
from oarlock.gateway.proto import kv_pb2, rpc_pb2


def decoded(kind: type[Message], body: str) -> Any:
    message = kind()
    decode(body, message)
    return message


def refused(kind: type[Message], body: str) -> str:
    with pytest.raises(BodyError) as caught:
        decode(body, kind())
    return caught.value.message


def test_names_may_be_written_both_ways() -> None:
    body = '{"key":"YQ==","range_end":"Yg==","sortOrder":"DESCEND","min_mod_revision":"3"}'
    expected = rpc_pb2.RangeRequest(key=b"a", range_end=b"b", sort_order="DESCEND", min_mod_revision=3)
    assert decoded(rpc_pb2.RangeRequest, body) == expected


@pytest.mark.parametrize("body", ["", "  \n", "{}", "null", '{"bogus":1}', '{"key":null}', "{} rest", '{"":{}}'])
def test_what_means_nothing_is_an_empty_message(body: str) -> None:
    assert decoded(rpc_pb2.RangeRequest, body) == rpc_pb2.RangeRequest()


def test_an_empty_member_of_a_oneof_is_present() -> None:
    request = decoded(rpc_pb2.TxnRequest, '{"success":[{"request_range":{}},{}]}')
    assert [one.WhichOneof("request") for one in request.success] == ["request_range", None]


def test_the_later_member_of_a_oneof_counts_in_the_order_of_the_proto_file() -> None:
    body = '{"success":[{"request_put":{},"request_range":{}}]}'
    assert decoded(rpc_pb2.TxnRequest, body).success[0].WhichOneof("request") == "request_put"


@pytest.mark.parametrize("written", ["Zm9vPz8+", "Zm9vPz8-", "Zm9vPz8-\\n"])
def test_base64_may_be_url_safe(written: str) -> None:
    assert decoded(rpc_pb2.RangeRequest, f'{{"key":"{written}"}}').key == b"foo??>"


@pytest.mark.parametrize(
    ("written", "meant"), [("Zg", b"f"), ("Zg==", b"f"), ("Zm8", b"fo"), ("Zm9v", b"foo"), ("", b"")]
)
def test_base64_may_be_unpadded(written: str, meant: bytes) -> None:
    assert decoded(rpc_pb2.RangeRequest, f'{{"key":"{written}"}}').key == meant


@pytest.mark.parametrize("written", ["Z", "Zm9vY", "Zg=", "Zm9v=", "Z*==", "=", "Zg==Zg==", "Zé=="])
def test_other_base64_is_refused(written: str) -> None:
    assert refused(rpc_pb2.RangeRequest, f'{{"key":"{written}"}}').startswith("illegal base64 data at input byte")


def test_halves_of_surrogate_pairs_become_replacement_characters() -> None:
    assert decoded(rpc_pb2.AuthUserGetRequest, r'{"name":"a\ud800b"}').name == "a\ufffdb"


def test_depth_is_bounded() -> None:
    nested = '{"success":[{"request_txn":'
    assert refused(rpc_pb2.TxnRequest, nested * 60 + "{}" + "}]}" * 60) == "exceeded max depth"
    assert refused(rpc_pb2.TxnRequest, "[" * 100_000) in ("exceeded max depth", "unexpected EOF")


def test_work_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MAX_VALUES", 10)
    assert decoded(rpc_pb2.TxnRequest, f'{{"compare":[{",".join(["{}"] * 10)}]}}').compare
    assert "more than" in refused(rpc_pb2.TxnRequest, f'{{"compare":[{",".join(["{}"] * 11)}]}}')


def test_a_long_number_is_not_converted() -> None:
    assert "cannot unmarshal number 9999" in refused(rpc_pb2.RangeRequest, f'{{"limit":{"9" * 100_000}}}')


def test_answers_leave_out_defaults_and_write_64_bits_as_strings() -> None:
    event = kv_pb2.Event(type="DELETE", kv=kv_pb2.KeyValue(key=b"\xff", mod_revision=2**62))
    response = rpc_pb2.WatchResponse(header=rpc_pb2.ResponseHeader(cluster_id=2**64 - 1), events=[event], canceled=True)
    assert encode(response) == (
        '{"header":{"cluster_id":"18446744073709551615"},"canceled":true,'
        '"events":[{"type":"DELETE","kv":{"key":"/w==","mod_revision":"4611686018427387904"}}]}'
    )


def test_unknown_enums_are_numbers_and_text_is_escaped() -> None:
    alarm = rpc_pb2.AlarmResponse(alarms=[rpc_pb2.AlarmMember(alarm=9)])  # type: ignore[arg-type]
    assert encode(alarm) == '{"alarms":[{"alarm":9}]}'
    assert json.loads(encode(rpc_pb2.StatusResponse(version='é"\\\n\0'))) == {"version": 'é"\\\n\0'}


def test_a_long_answer_comes_in_short_pieces() -> None:
    answer = rpc_pb2.TxnResponse(succeeded=True)
    for _ in range(3):
        kvs = [kv_pb2.KeyValue(key=b"%d" % number, value=bytes(50)) for number in range(1000)]
        answer.responses.add(response_range=rpc_pb2.RangeResponse(kvs=kvs, count=1000))
    parts = list(pieces(answer))
    assert "".join(parts) == encode(answer)
    assert max(map(len, parts)) < 2 * PIECE_BYTES


def messages(kind: type[Message], depth: int = 0) -> st.SearchStrategy[Message]:
    """Any message of a type."""
    fields = [field for field in kind.DESCRIPTOR.fields if field.message_type is None or depth < 2]
    values = {field.name: st.none() | values_of(field, depth) for field in fields}

    def build(chosen: dict[str, Any]) -> Message:
        return kind(**{name: value for name, value in chosen.items() if value is not None})

    return st.fixed_dictionaries(values).map(build)


def values_of(field: Any, depth: int) -> st.SearchStrategy[Any]:
    by_type: dict[int, Any] = {
        field.CPPTYPE_INT64: st.integers(-(2**63), 2**63 - 1),
        field.CPPTYPE_UINT64: st.integers(0, 2**64 - 1),
        field.CPPTYPE_INT32: st.integers(-(2**31), 2**31 - 1),
        field.CPPTYPE_UINT32: st.integers(0, 2**32 - 1),
        field.CPPTYPE_BOOL: st.booleans(),
        field.CPPTYPE_ENUM: st.integers(0, 6),
        field.CPPTYPE_STRING: st.binary(max_size=9) if field.type == field.TYPE_BYTES else st.text(max_size=9),
    }
    if field.message_type is not None:
        one = messages(field.message_type._concrete_class, depth + 1)
    else:
        one = by_type[field.cpp_type]
    return st.lists(one, max_size=2) if is_repeated(field) else one


KINDS = sorted({kind for route in routes().values() for kind in (route.request, route.response)}, key=str)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(data=st.data())
def test_any_message_survives_the_way_there_and_back_and_is_what_protobuf_writes(data: st.DataObject) -> None:
    message = data.draw(st.sampled_from(KINDS).flatmap(messages))
    text = "".join(pieces(message))
    assert json.loads(text) == json_format.MessageToDict(message, preserving_proto_field_name=True)
    again = type(message)()
    decode(text, again)
    assert again == message
