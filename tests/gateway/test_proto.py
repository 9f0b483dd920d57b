"""The messages: compiled as they are written, and those of etcd."""

from __future__ import annotations

import ast
import base64
import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from oarlock.gateway import proto
from oarlock.gateway.proto import rpc_pb2
from tests.gateway.descriptors import Facts, facts
from tests.gateway.proto_source import source_facts

FOLDER = Path(proto.__file__).parent
SOURCES = sorted(FOLDER.glob("*.proto"))

ETCD_PACKAGES = ("mvccpb.", "authpb.", "etcdserverpb.")

NEWER_THAN_THE_CLIENT = {
    # etcd 3.6
    "etcdserverpb.StatusResponse.storageVersion",
    "etcdserverpb.StatusResponse.dbSizeQuota",
    "etcdserverpb.StatusResponse.downgradeInfo",
    "etcdserverpb.DowngradeInfo",
    "etcdserverpb.DowngradeInfo.enabled",
    "etcdserverpb.DowngradeInfo.targetVersion",
    "etcdserverpb.HashKVResponse.hash_revision",
    "etcdserverpb.SnapshotResponse.version",
    # etcd 3.7
    "etcdserverpb.RangeStreamResponse",
    "etcdserverpb.RangeStreamResponse.range_response",
    "etcdserverpb.KV/RangeStream",
}

CLIENT_DESCRIPTORS = """
import base64
from aetcd.rpc import auth_pb2, kv_pb2, rpc_pb2
for module in (auth_pb2, kv_pb2, rpc_pb2):
    print(base64.b64encode(module.DESCRIPTOR.serialized_pb).decode())
"""


def compiled(name: str) -> FileDescriptorProto:
    module = importlib.import_module(f"oarlock.gateway.proto.{name}_pb2")
    return FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb)


def compiled_facts() -> Facts:
    return facts(compiled(path.stem) for path in SOURCES)


def client_facts() -> Facts:
    run = [sys.executable, "-c", CLIENT_DESCRIPTORS]
    lines = subprocess.run(run, check=True, capture_output=True, text=True, timeout=60).stdout.split()
    return facts(FileDescriptorProto.FromString(base64.b64decode(line)) for line in lines)


def test_compiled_modules_say_what_the_sources_say() -> None:
    assert len(SOURCES) == 8
    assert compiled_facts() == source_facts(SOURCES)


@pytest.mark.parametrize("name", [path.stem for path in SOURCES])
def test_stubs_name_the_messages_and_fields_of_the_sources(name: str) -> None:
    stub: dict[str, set[str]] = {}

    def collect(scope: str, body: list[ast.stmt]) -> None:
        for node in body:
            if isinstance(node, ast.ClassDef) and any("Message" in ast.unparse(base) for base in node.bases):
                fields = next(n.value for n in node.body if isinstance(n, ast.Assign) and "__slots__" in ast.unparse(n))
                stub[f"{scope}.{node.name}"] = set(ast.literal_eval(fields))
                collect(f"{scope}.{node.name}", node.body)

    description = compiled(name)
    collect(description.package, ast.parse((FOLDER / f"{name}_pb2.pyi").read_text()).body)
    messages = {f"{description.package}.{m.name}": {field.name for field in m.field} for m in description.message_type}
    assert stub == messages


def test_messages_are_those_of_an_etcd_client() -> None:
    theirs = client_facts()
    ours = {name: fact for name, fact in compiled_facts().items() if name.startswith(ETCD_PACKAGES)}
    assert len(theirs) > 300
    assert ours.keys() - theirs.keys() == NEWER_THAN_THE_CLIENT
    assert {name: fact for name, fact in ours.items() if name in theirs} == theirs


def test_messages_do_not_collide_with_another_client_in_the_process() -> None:
    program = "from oarlock.gateway.proto import rpc_pb2 as ours; from aetcd.rpc import rpc_pb2 as theirs\n"
    program += "assert ours.PutRequest is not theirs.PutRequest\n"
    program += "assert theirs.PutRequest.FromString(ours.PutRequest(key=b'k').SerializeToString()).key == b'k'"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_messages_merge_by_appending() -> None:
    header = rpc_pb2.PutResponse(header=rpc_pb2.ResponseHeader(revision=7)).SerializeToString()
    rest = rpc_pb2.RangeResponse(more=True, count=3).SerializeToString()
    merged = rpc_pb2.RangeResponse.FromString(header + rest)
    assert (merged.header.revision, merged.more, merged.count) == (7, True, 3)
