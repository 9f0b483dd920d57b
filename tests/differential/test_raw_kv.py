"""The same requests of gRPC, byte for byte, to etcd and to Oarlock: every field of every answer is the same."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.differential.calls import request
from tests.differential.pair import FROM_FIRST_KEY, Pair
from tests.differential.requests import LEASES, Step, at, steps

CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]
SHORT = settings(derandomize=True, max_examples=40, database=None, suppress_health_check=CHECKS)
LONG = settings(max_examples=3000, suppress_health_check=CHECKS)
SEQUENCES = st.lists(steps, min_size=10, max_size=30)


@SHORT
@given(sequence=SEQUENCES)
def test_sequences_of_requests_are_answered_alike(pair: Pair, sequence: list[Step]) -> None:
    run(pair, sequence)


@pytest.mark.soak
@LONG
@given(sequence=SEQUENCES)
def test_many_sequences_of_requests_are_answered_alike(pair: Pair, sequence: list[Step]) -> None:
    run(pair, sequence)


def run(pair: Pair, sequence: list[Step]) -> None:
    """Sends the requests in turn to both, and compares what is stored in the end."""
    revision = pair.begin()
    for method, message in sequence:
        result = pair.same(method, at(message, revision))
        if result.answers:
            revision = max(revision, result.answers[0].header.revision)  # type: ignore[attr-defined]
    for now in (0, revision - 3, revision - 1):
        pair.same("KV/Range", request("KV/Range", **FROM_FIRST_KEY, revision=now))
    pair.same("Lease/LeaseLeases")
    for lease in LEASES:
        pair.same("Lease/LeaseTimeToLive", request("Lease/LeaseTimeToLive", ID=lease, keys=True))
