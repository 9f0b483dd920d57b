"""Calls of gRPC with messages as bytes: what a server says is looked at as it came."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from oarlock.gateway.proto import election_pb2, health_pb2, lock_pb2, rpc_pb2

ANSWER_S: Final = 60.0
"""How long an answer may take on a busy machine."""
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),
)
_FILES: Final = (rpc_pb2, lock_pb2, election_pb2, health_pb2)

METHODS: Final[dict[str, MethodDescriptor]] = {
    f"{service.name}/{method.name}": method
    for file in _FILES
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
"""Of every service on the client port, by service and method: "KV/Range"."""


class Outcome(NamedTuple):
    """How a call ended. ``answers`` are what came before the end, parsed."""

    code: int
    text: str
    answers: list[Message]


def request(method: str, **fields: Any) -> Message:
    """A request of ``method``, with these fields."""
    return GetMessageClass(METHODS[method].input_type)(**fields)


class Stream:
    """A call that sends and receives as it likes."""

    def __init__(self, call: Any, requests: queue.SimpleQueue[bytes | None], answer: type[Message]) -> None:
        self._call = call
        self._requests = requests
        self._answer = answer

    def send(self, message: Message) -> None:
        """Sends the next message."""
        self._requests.put(message.SerializeToString())

    def end_requests(self) -> None:
        """Says that there are no more."""
        self._requests.put(None)

    def receive(self) -> Message:
        """The next answer; blocks until it comes.

        Raises:
            grpc.RpcError: the call ended with an error.
            StopIteration: it ended well.
        """
        return self._answer.FromString(next(self._call))

    def cancel(self) -> None:
        """Ends the call."""
        self._requests.put(None)
        self._call.cancel()


class Caller:
    """A connection to one server."""

    def __init__(self, endpoint: str, ready_s: float) -> None:
        self._channel = grpc.insecure_channel(endpoint, options=_OPTIONS)
        grpc.channel_ready_future(self._channel).result(ready_s)

    def call(self, method: str, message: Message | None = None) -> Outcome:
        """Makes a call of one request, and waits for its end."""
        return self.call_raw(method, b"" if message is None else message.SerializeToString())

    def call_raw(self, method: str, raw: bytes) -> Outcome:
        """Likewise, with any bytes for a request."""
        descriptor = METHODS[method]
        answer = GetMessageClass(descriptor.output_type)
        answers = []
        try:
            if descriptor.server_streaming:
                answers = [answer.FromString(each) for each in self._channel.unary_stream(_path(method))(raw, ANSWER_S)]
            else:
                answers = [answer.FromString(self._channel.unary_unary(_path(method))(raw, ANSWER_S))]
        except grpc.RpcError as error:
            return Outcome(error.code().value[0], error.details() or "", answers)
        return Outcome(0, "", answers)

    def open(self, method: str) -> Stream:
        """Opens a stream; the caller cancels it."""
        requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        call = self._channel.stream_stream(_path(method))(_until_none(requests), timeout=ANSWER_S)
        return Stream(call, requests, GetMessageClass(METHODS[method].output_type))

    def observe(self, method: str, message: Message) -> Stream:
        """Makes a call that is answered by a stream; the caller cancels it."""
        call = self._channel.unary_stream(_path(method))(message.SerializeToString(), ANSWER_S)
        return Stream(call, queue.SimpleQueue(), GetMessageClass(METHODS[method].output_type))

    def members(self) -> rpc_pb2.MemberListResponse:
        """The members of its cluster."""
        outcome = self.call("Cluster/MemberList")
        assert outcome.answers, outcome
        answer = outcome.answers[0]
        assert isinstance(answer, rpc_pb2.MemberListResponse)
        return answer

    def close(self) -> None:
        """Ends the connection."""
        self._channel.close()


def _path(method: str) -> str:
    service, name = METHODS[method].containing_service, METHODS[method].name
    return f"/{service.full_name}/{name}"


def _until_none(requests: queue.SimpleQueue[bytes | None]) -> Iterator[bytes]:
    while (message := requests.get()) is not None:
        yield message
