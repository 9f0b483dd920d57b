"""The services of the front door: etcd's, and those that gRPC clients expect of any server."""

from __future__ import annotations

from oarlock.gateway.grpc.requests import Methods, methods_by_path
from oarlock.gateway.service import Backend
from oarlock.gateway.services import auth, cluster, election, health, kv, lease, lock, maintenance, reflection, watch
from oarlock.wire.operations import DEFAULT_MAX_REQUEST_BYTES


def all_methods(
    backend: Backend, *, progress_interval_s: float, max_request_bytes: int = DEFAULT_MAX_REQUEST_BYTES
) -> Methods:
    """Everything that is served, by path.

    Args:
        backend: the worker.
        progress_interval_s: between notifications of progress to watches that want them.
        max_request_bytes: of a request.
    """
    watches = watch.methods(backend, progress_interval_s=progress_interval_s, max_request_bytes=max_request_bytes)
    services = (kv, lease, cluster, maintenance, auth, lock, election, health)
    served = [method for service in services for method in service.methods(backend)]
    served += watches
    return methods_by_path(*served, *reflection.methods(served))
