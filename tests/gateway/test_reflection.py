from __future__ import annotations

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from oarlock.gateway.grpc.requests import Method
from oarlock.gateway.proto.reflection_pb2 import ExtensionRequest, ServerReflectionRequest, ServerReflectionResponse
from oarlock.gateway.services import reflection
from oarlock.wire.errors import Code
from tests.gateway.fakes import FakeExchange

SERVED = (Method("/etcdserverpb.KV/Put"), Method("/etcdserverpb.KV/Range"), Method("/v3lockpb.Lock/Lock"))


class Stream:
    """A client of the reflection service."""

    def __init__(self, method: Method | None = None) -> None:
        self.exchange = FakeExchange()
        handler = (method or reflection.methods(SERVED)[0]).handler
        assert callable(handler)
        handler(self.exchange)

    def ask(self, **question: object) -> ServerReflectionResponse:
        request = ServerReflectionRequest(host="here", **question)  # type: ignore[arg-type]
        self.exchange.ask(request.SerializeToString())
        response = ServerReflectionResponse.FromString(self.exchange.sent[-1])
        assert response.original_request == request
        assert response.valid_host == "here"
        return response


def names(response: ServerReflectionResponse) -> list[str]:
    raw = response.file_descriptor_response.file_descriptor_proto
    return [FileDescriptorProto.FromString(file).name.rpartition("/")[2] for file in raw]


@pytest.mark.parametrize("method", reflection.methods(SERVED), ids=lambda method: method.path)
def test_both_versions_list_what_is_served(method: Method) -> None:
    response = Stream(method).ask(list_services="")
    assert [service.name for service in response.list_services_response.service] == [
        "etcdserverpb.KV",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
        "v3lockpb.Lock",
    ]


@pytest.mark.parametrize(
    ("symbol", "file"),
    [
        ("v3lockpb.Lock", "lock.proto"),
        ("v3electionpb.LeaderKey", "election.proto"),
        ("etcdserverpb.KV.Put", "rpc.proto"),
        ("etcdserverpb.RangeRequest.SortOrder", "rpc.proto"),
        ("grpc.health.v1.Health", "health.proto"),
        ("grpc.reflection.v1.ServerReflection", "reflection.proto"),
        ("grpc.reflection.v1alpha.ServerReflection", "reflection_v1alpha.proto"),
    ],
)
def test_a_symbol_brings_its_file_first(symbol: str, file: str) -> None:
    assert names(Stream().ask(file_containing_symbol=symbol))[0] == file


def test_files_bring_what_they_import_once() -> None:
    stream = Stream()
    assert sorted(names(stream.ask(file_containing_symbol="etcdserverpb.KV"))) == [
        "auth.proto",
        "kv.proto",
        "rpc.proto",
    ]
    assert names(stream.ask(file_containing_symbol="v3lockpb.Lock")) == ["lock.proto"]
    assert names(stream.ask(file_by_filename="oarlock/gateway/proto/kv.proto")) == ["kv.proto"]


@pytest.mark.parametrize(
    "question",
    [
        {"file_by_filename": "nowhere.proto"},
        {"file_containing_symbol": "etcdserverpb.KV.Nothing"},
        {"file_containing_symbol": ""},
        {"file_containing_extension": ExtensionRequest(containing_type="mvccpb.Event", extension_number=1)},
        {"all_extension_numbers_of_type": "etcdserverpb.Nothing"},
    ],
    ids=str,
)
def test_what_is_not_there_is_an_error_in_the_answer(question: dict[str, object]) -> None:
    stream = Stream()
    assert stream.ask(**question).error_response.error_code == Code.NOT_FOUND
    assert not stream.exchange.is_over


def test_messages_have_no_extensions() -> None:
    answer = Stream().ask(all_extension_numbers_of_type="mvccpb.Event").all_extension_numbers_response
    assert (answer.base_type_name, list(answer.extension_number)) == ("mvccpb.Event", [])


def test_the_stream_ends_when_the_client_has_asked_all() -> None:
    stream = Stream()
    stream.exchange.end_requests()
    assert stream.exchange.status is not None
    assert stream.exchange.status.code == Code.OK


def test_a_question_about_nothing_ends_the_stream() -> None:
    stream = Stream()
    stream.exchange.ask(b"")
    assert stream.exchange.status is not None
    assert stream.exchange.status.code == Code.INVALID_ARGUMENT


def test_who_asks_without_reading_is_cut_off() -> None:
    stream = Stream()
    stream.exchange.queued_bytes = reflection.MAX_QUEUED_BYTES + 1
    stream.exchange.ask(ServerReflectionRequest(list_services="").SerializeToString())
    assert stream.exchange.status is not None
    assert stream.exchange.status.code == Code.RESOURCE_EXHAUSTED
