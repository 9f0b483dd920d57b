"""The HTTP port of the supervisor: metrics, health and version, as etcd's metrics URLs have them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web

from oarlock.gateway.health_pages import Health, Page, health_page, live_page, ready_page, version_page
from oarlock.wire.errors import ConfigurationError
from oarlock.wire.exposition import exposition


class HttpServer:
    """Serves the pages; owned by the supervisor, which must `stop` it.

    Args:
        urls: where to listen: ``http://host:port``.
        health: asked for every page.
        metrics: directory of the metrics' files.
    """

    def __init__(self, urls: Sequence[str], health: Callable[[], Health], metrics: Path) -> None:
        self._urls = urls
        self._health = health
        self._metrics = metrics
        application = web.Application(client_max_size=4096)
        application.add_routes(
            [
                web.get("/health", self._get_health),
                web.get("/livez", self._get_live),
                web.get("/readyz", self._get_ready),
                web.get("/metrics", self._get_metrics),
                web.get("/version", self._get_version),
            ]
        )
        self._runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=1.0)

    async def start(self) -> None:
        """Listens.

        Raises:
            ConfigurationError: an address cannot be listened on.
        """
        await self._runner.setup()
        for url in self._urls:
            parts = urlsplit(url)
            try:
                await web.TCPSite(self._runner, parts.hostname, parts.port).start()
            except OSError as error:
                await self.stop()
                raise ConfigurationError(f"listen-metrics-urls: cannot listen on {url}: {error.strerror}") from error

    async def stop(self) -> None:
        """Closes the port and its connections."""
        await self._runner.cleanup()

    async def _get_health(self, request: web.Request) -> web.Response:
        serializable = request.query.get("serializable") == "true"
        excluded = request.query.getall("exclude", [])
        return _response(health_page(self._health(), excluded=excluded, serializable=serializable))

    async def _get_live(self, request: web.Request) -> web.Response:
        excluded = request.query.getall("exclude", [])
        return _response(live_page(self._health(), excluded=excluded, verbose="verbose" in request.query))

    async def _get_ready(self, request: web.Request) -> web.Response:
        excluded = request.query.getall("exclude", [])
        return _response(ready_page(self._health(), excluded=excluded, verbose="verbose" in request.query))

    async def _get_metrics(self, _: web.Request) -> web.Response:
        body, content_type = exposition(self._metrics)
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def _get_version(self, _: web.Request) -> web.Response:
        return _response(version_page())


def _response(page: Page) -> web.Response:
    headers = {"X-Content-Type-Options": "nosniff"}
    return web.Response(status=page.status, text=page.body, content_type=page.content_type, headers=headers)
