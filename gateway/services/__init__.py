"""The services of the front door: etcd's, and those that gRPC clients expect of any server."""

from __future__ import annotations

from oarlock.gateway.grpc.requests import Methods, methods_by_path
from oarlock.gateway.service import Backend
from oarlock.gateway.services import kv


def all_methods(backend: Backend) -> Methods:
    """Everything that is served, by path."""
    return methods_by_path(*kv.methods(backend))
