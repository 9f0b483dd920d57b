"""The services of the front door: etcd's, and those that gRPC clients expect of any server."""

from __future__ import annotations

from oarlock.gateway.grpc.requests import Methods, methods_by_path
from oarlock.gateway.service import Backend
from oarlock.gateway.services import auth, cluster, health, kv, lease, maintenance, reflection


def all_methods(backend: Backend) -> Methods:
    """Everything that is served, by path."""
    services = (kv, lease, cluster, maintenance, auth, health)
    served = [method for service in services for method in service.methods(backend)]
    return methods_by_path(*served, *reflection.methods(served))
