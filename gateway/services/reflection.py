"""gRPC server reflection: tools such as grpcurl ask here for services and messages. v1 and v1alpha are one on the wire.

etcd has no such service; it costs nothing, and tells nothing that is not public.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

from google.protobuf.descriptor import FileDescriptor

from oarlock.gateway.grpc.requests import Method
from oarlock.gateway.grpc.status import Status
from oarlock.gateway.proto import (
    POOL,
    # Not used by name: importing them fills the pool.
    election_pb2,  # noqa: F401
    health_pb2,  # noqa: F401
    lock_pb2,  # noqa: F401
    reflection_v1alpha_pb2,  # noqa: F401
    rpc_pb2,  # noqa: F401
)
from oarlock.gateway.proto.reflection_pb2 import (
    ErrorResponse,
    ExtensionNumberResponse,
    FileDescriptorResponse,
    ListServiceResponse,
    ServerReflectionRequest,
    ServerReflectionResponse,
    ServiceResponse,
)
from oarlock.gateway.service import Exchange
from oarlock.wire.errors import Code

_T = TypeVar("_T")

PACKAGES: Final = ("grpc.reflection.v1", "grpc.reflection.v1alpha")
MAX_QUEUED_BYTES: Final = 1 << 20
"""Answers that a client has not read: some forty files; whoever asks on without reading is cut off."""


def methods(served: Iterable[Method]) -> Sequence[Method]:
    """The methods of the service, in both packages.

    Args:
        served: all other methods of the server: their services are listed, with these.
    """
    own = [f"{package}.ServerReflection" for package in PACKAGES]
    names = sorted({*own, *(method.path.split("/")[1] for method in served)})
    return [
        Method(
            f"/{service}/ServerReflectionInfo",
            takes_stream=True,
            returns_stream=True,
            handler=lambda exchange: ReflectionStream(exchange, names),
        )
        for service in own
    ]


class ReflectionStream:
    """One stream of questions: an answer for each, in order.

    Invariant: a file was sent together with all that it imports and the stream has not had yet.
    """

    def __init__(self, exchange: Exchange, services: Sequence[str]) -> None:
        self._exchange = exchange
        self._services = services
        self._sent: set[str] = set()
        exchange.on_message = self._answer
        exchange.on_requests_ended = exchange.finish

    def _answer(self, message: bytes) -> None:
        if self._exchange.queued_bytes > MAX_QUEUED_BYTES:
            self._exchange.finish(Status(Code.RESOURCE_EXHAUSTED, "answers are not read"))
            return
        request = ServerReflectionRequest.FromString(message)
        kind = request.WhichOneof("message_request")
        if kind is None:
            self._exchange.finish(Status(Code.INVALID_ARGUMENT, "a reflection request that asks nothing"))
            return
        response = ServerReflectionResponse(valid_host=request.host, original_request=request)
        try:
            self._fill(response, request, kind)
        except KeyError as problem:
            error = ErrorResponse(error_code=int(Code.NOT_FOUND), error_message=str(problem.args[0]))
            response.error_response.CopyFrom(error)
        self._exchange.send(response.SerializeToString())

    def _fill(self, response: ServerReflectionResponse, request: ServerReflectionRequest, kind: str) -> None:
        """Puts the answer to ``request`` into ``response``.

        Raises:
            KeyError: there is no such thing.
        """
        if kind == "list_services":
            services = [ServiceResponse(name=name) for name in self._services]
            response.list_services_response.CopyFrom(ListServiceResponse(service=services))
        elif kind == "file_by_filename":
            response.file_descriptor_response.CopyFrom(self._files(POOL.FindFileByName, request.file_by_filename))
        elif kind == "file_containing_symbol":
            symbol = request.file_containing_symbol
            response.file_descriptor_response.CopyFrom(self._files(_file_of_symbol, symbol))
        elif kind == "all_extension_numbers_of_type":
            name = request.all_extension_numbers_of_type
            _found(POOL.FindMessageTypeByName, name)
            response.all_extension_numbers_response.CopyFrom(ExtensionNumberResponse(base_type_name=name))
        else:
            raise KeyError("there are no extensions")  # proto3 messages have none

    def _files(self, find: Callable[[str], FileDescriptor], name: str) -> FileDescriptorResponse:
        wanted = [_found(find, name)]
        files: dict[str, bytes] = {}
        while wanted:
            file = wanted.pop()
            if file.name not in files:
                files[file.name] = file.serialized_pb
                wanted.extend(file.dependencies)
        asked_for = next(iter(files))
        fresh = [raw for path, raw in files.items() if path == asked_for or path not in self._sent]
        self._sent.update(files)
        return FileDescriptorResponse(file_descriptor_proto=fresh)


def _file_of_symbol(symbol: str) -> FileDescriptor:
    service, _, method = symbol.rpartition(".")
    try:
        return POOL.FindFileContainingSymbol(symbol)
    except KeyError:  # the pool does not count methods as symbols
        described = POOL.FindServiceByName(service)
        return described.methods_by_name[method].containing_service.file


def _found(find: Callable[[str], _T], name: str) -> _T:
    try:
        return find(name)
    except KeyError:
        raise KeyError(f"{name} is not known here") from None
