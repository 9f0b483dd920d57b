"""Clients that keep leases alive, each with a key on it, and notice when one is lost."""

from __future__ import annotations

from collections.abc import Sequence

import oarlock
from oarlock.aio import Client, Lease
from tests.durability.load import TIMEOUT_S
from tests.histories.live import answer
from tests.histories.records import Recorder
from tests.histories.store import Put

KEPT_TTL_S = 20
"""More than any fault that spares the quorum lasts, but less than a campaign of them."""


class Keepers:
    """One lease for each endpoint, kept alive from ``start`` to ``close``.

    Args:
        recorder: gets the puts of the keys, as they are part of the history.
        number: of the first keeper among the clients of the history.
        ttl_s: of the leases.
    """

    def __init__(self, recorder: Recorder, number: int, ttl_s: int = KEPT_TTL_S) -> None:
        self._recorder = recorder
        self._number = number
        self._ttl_s = ttl_s
        self._clients: list[Client] = []
        self.leases: list[Lease] = []

    async def start(self, endpoints: Sequence[str]) -> Keepers:
        """Grants the leases, writes the keys, and begins to renew: each of the keepers by all endpoints."""
        for place in range(len(endpoints)):
            client = await oarlock.aio.connect(endpoints, timeout_s=TIMEOUT_S)
            self._clients.append(client)
            lease = await client.lease(self._ttl_s)
            call = self._recorder.begin(self._number + place, Put(self._key(place), b"kept"))
            call.answered(answer(await client.put(self._key(place), b"kept", lease=lease)))
            lease.keep_alive()
            self.leases.append(lease)
        return self

    async def check(self) -> None:
        """All are there: neither were they lost, nor have their keys gone."""
        for place, (client, lease) in enumerate(zip(self._clients, self.leases, strict=True)):
            assert not lease.lost, f"{lease} of keeper {place} is lost"
            kv = await client.get(self._key(place))
            assert kv is not None, f"the key of {lease} is gone"
            assert kv.version == 1, f"the key of {lease} was written {kv.version} times"

    async def close(self) -> None:
        """Lets them expire."""
        for client in self._clients:
            await client.close()

    @staticmethod
    def _key(place: int) -> bytes:
        return b"lease-%d" % place
