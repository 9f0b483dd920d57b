"""The pages of the client port for people and monitors: health, version, metrics."""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

from aiohttp import web

from oarlock.gateway.health_pages import LIVE_CHECKS, READY_CHECKS, Health, Page, checks_page, health_page, version_page
from oarlock.gateway.service import Backend, is_error
from oarlock.wire.operations import Op, RangeFlag

READ_TIMEOUT_S: Final = 5.0
"""For the read that shows whether the quorum answers; etcd's time-out of requests, and less than that of probes."""

_PROBE: Final = [int(Op.RANGE), b"\0", int(RangeFlag.KEYS_ONLY | RangeFlag.NO_COUNT), b"", 1]
"""A linearizable read of a key that nobody has: what matters is that it is answered."""


class Pages(Protocol):
    """What the pages are made of."""

    def health(self) -> Health:
        """How well this worker and its member are; without a read, which the pages make themselves."""

    def metrics(self) -> tuple[bytes, str]:
        """Prometheus' text and its content type. May block: called on a thread, by one request at a time."""


class HttpPages:
    """Answers requests that are not for the JSON API.

    Args:
        backend: asked for a read.
        pages: what the pages tell.
    """

    def __init__(self, backend: Backend, pages: Pages) -> None:
        self._backend = backend
        self._pages = pages
        self._metrics_turn = asyncio.Lock()
        self._answers: dict[str, Callable[[web.BaseRequest], Awaitable[web.Response]]] = {
            "/health": self._health,
            "/livez": self._live,
            "/readyz": self._ready,
            "/version": self._version,
            "/metrics": self._metrics,
            "/debug/vars": self._variables,
        }

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """The page that ``request`` asks for: 404 if there is none, 405 for anything but GET."""
        answer = self._answers.get(request.path) or self._check(request.path)
        if answer is None:
            return _response(Page(404, "text/plain", "404 page not found\n"))
        if request.method != "GET":
            response = _response(Page(405, "text/plain", "Method Not Allowed\n"))
            response.headers["Allow"] = "GET"
            return response
        return await answer(request)

    def _check(self, path: str) -> Callable[[web.BaseRequest], Awaitable[web.Response]] | None:
        """The page of one check: ``/readyz/linearizable_read``."""
        _, _, rest = path.partition("/")
        page, _, check = rest.partition("/")
        if check not in {"livez": LIVE_CHECKS, "readyz": READY_CHECKS}.get(page, ()):
            return None

        async def answer(request: web.BaseRequest) -> web.Response:
            health = await self._measured(with_read=check == "linearizable_read")
            return _response(checks_page(health, (check,), verbose="verbose" in request.query))

        return answer

    async def _health(self, request: web.BaseRequest) -> web.Response:
        serializable = request.query.get("serializable") == "true"
        excluded = request.query.getall("exclude", [])
        health = await self._measured(with_read=not serializable)
        return _response(health_page(health, excluded=excluded, serializable=serializable))

    async def _live(self, request: web.BaseRequest) -> web.Response:
        return self._checks(request, LIVE_CHECKS, await self._measured(with_read=False))

    async def _ready(self, request: web.BaseRequest) -> web.Response:
        with_read = "linearizable_read" not in request.query.getall("exclude", [])
        return self._checks(request, READY_CHECKS, await self._measured(with_read=with_read))

    @staticmethod
    def _checks(request: web.BaseRequest, checks: tuple[str, ...], health: Health) -> web.Response:
        excluded = request.query.getall("exclude", [])
        return _response(checks_page(health, checks, excluded=excluded, verbose="verbose" in request.query))

    async def _version(self, _: web.BaseRequest) -> web.Response:
        return _response(version_page())

    async def _metrics(self, _: web.BaseRequest) -> web.Response:
        async with self._metrics_turn:
            body, content_type = await asyncio.to_thread(self._pages.metrics)
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def _variables(self, _request: web.BaseRequest) -> web.Response:
        """Those of Go's expvar that etcd's users look at."""
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        variables = {"cmdline": sys.argv, "file_descriptor_limit": limit}
        return _response(Page(200, "application/json", json.dumps(variables)))

    async def _measured(self, *, with_read: bool) -> Health:
        """The health, with a read through the quorum if that is wanted and there is hope for it."""
        health = self._pages.health()
        if with_read and health.leader and health.workers_ready:
            return health._replace(read_error=await self._read_error())
        return health

    async def _read_error(self) -> str:
        """Why a linearizable read fails, empty if it does not."""
        answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def done(item: Any) -> None:
            if not answered.done():
                answered.set_result(item)

        self._backend.submit(list(_PROBE), done)
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                item = await answered
        except TimeoutError:
            return "context deadline exceeded"
        return str(item[2]) if is_error(item) else ""


def _response(page: Page) -> web.Response:
    content_type = f"{page.content_type}; charset=utf-8" if page.content_type == "text/plain" else page.content_type
    headers = {"Content-Type": content_type, "X-Content-Type-Options": "nosniff"}
    return web.Response(status=page.status, body=page.body.encode(), headers=headers)
