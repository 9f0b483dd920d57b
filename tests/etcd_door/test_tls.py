"""The client port under TLS: gRPC and HTTP/1.1 on it, and clients that must show a certificate."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator

import grpc
import pytest

from tests.server import Server

from .calls import TIMEOUT_S, door_of
from .certificates import Certificates, make_certificates


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[Server]:
    arguments = (
        *("--cert-file", str(certificates.server), "--key-file", str(certificates.server_key)),
        *("--trusted-ca-file", str(certificates.authority), "--client-cert-auth", "true"),
    )
    server = Server(tmp_path_factory.mktemp("tls"), workers=1, arguments=arguments)
    server.client_url = f"https://{server.client_endpoint}"
    try:
        yield server.start()
    finally:
        server.close()


def test_a_client_with_a_certificate_is_served_over_grpc(server: Server, certificates: Certificates) -> None:
    credentials = grpc.ssl_channel_credentials(
        certificates.authority.read_bytes(), certificates.client_key.read_bytes(), certificates.client.read_bytes()
    )
    with door_of(server.client_endpoint, credentials) as door:
        door.put(b"a", b"1" * 100_000)
        assert door.range(b"a").kvs[0].value == b"1" * 100_000


def test_a_client_with_a_certificate_is_served_over_http(server: Server, certificates: Certificates) -> None:
    context = ssl.create_default_context(cafile=str(certificates.authority))
    context.load_cert_chain(certificates.client, certificates.client_key)
    with urllib.request.urlopen(f"{server.client_url}/health", timeout=TIMEOUT_S, context=context) as answer:
        assert json.load(answer)["health"] == "true"


def test_a_client_without_one_is_not(server: Server, certificates: Certificates) -> None:
    context = ssl.create_default_context(cafile=str(certificates.authority))
    with pytest.raises((urllib.error.URLError, ssl.SSLError, ConnectionError)):
        urllib.request.urlopen(f"{server.client_url}/health", timeout=TIMEOUT_S, context=context)


def test_a_client_that_speaks_plainly_is_not(server: Server) -> None:
    with pytest.raises((urllib.error.URLError, ConnectionError)):
        urllib.request.urlopen(f"http://{server.client_endpoint}/health", timeout=TIMEOUT_S)
