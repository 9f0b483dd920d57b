"""A watch as a user of the synchronous client holds it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from oarlock.results import Event, WatchResponse
from oarlock.wire.errors import ClosedError, OarlockError

if TYPE_CHECKING:
    from oarlock import aio, aio_watch
    from oarlock.background import Background


class Watch:
    """Events of a range of keys, in order, each once, until ``cancel``; made by ``Client.watch``.

    ``for event in watch`` gives single events, ``for response in watch.responses()`` whole revisions, with progress
    where it was asked for. It goes on by itself through lost connections and restarts of the server. To be iterated by
    one thread at a time; ``cancel`` may be called by any, and ends the iteration.
    """

    def __init__(
        self,
        background: Background,
        key: bytes,
        range_end: bytes,
        start_revision: int,
        timeout_s: float,
        options: dict[str, bool],
    ) -> None:
        self._background: Final = background
        self._responses: Final[deque[WatchResponse]] = deque()
        self._events: Final[deque[Event]] = deque()
        self._revision = max(start_revision - 1, 0)
        self._cancelled = False

        async def begin(client: aio.Client) -> aio_watch.Watch:
            watch = client.watch(
                key, range_end=range_end, start_revision=start_revision, timeout_s=timeout_s, **options
            )
            return await watch

        self._watch: Final = background.run(begin)
        self._revision = max(self._revision, self._watch.revision)

    @property
    def revision(self) -> int:
        """Everything up to it has been delivered: a watch from the next one on would continue this one."""
        return self._revision

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        while not self._events:
            response = self.next_response()
            if response is None:
                raise StopIteration
            self._events.extend(response.events)
        if self._cancelled:
            raise StopIteration
        return self._events.popleft()

    def responses(self) -> Iterator[WatchResponse]:
        """Whole revisions at a time.

        Raises:
            CompactedError: what comes next has been compacted; ``compact_revision`` can still be watched from.
            ClosedError: the client was closed.
        """
        while (response := self.next_response()) is not None:
            yield response

    def next_response(self) -> WatchResponse | None:
        """The next response, or None after ``cancel``. Raises as ``responses``."""
        if not self._responses and not self._cancelled:
            self._responses.extend(self._background.run(self._take_all))
        if self._cancelled or not self._responses:
            return None
        response = self._responses.popleft()
        self._revision = max(self._revision, response.header.revision)
        return response

    async def _take_all(self, client: aio.Client) -> list[WatchResponse]:
        """One hop to the background thread brings all that is there."""
        first = await self._watch.next_response()
        taken = [first] if first is not None else []
        while first is not None and self._watch.queued and len(taken) < 256:
            response = self._watch.take()
            if response is not None:
                taken.append(response)
        return taken

    def cancel(self) -> None:
        """Ends the watch: iterators stop, callbacks are not called any more. May be repeated, by any thread."""
        self._cancelled = True
        self._background.call(self._watch.cancel)

    def deliver_to(
        self, callback: Callable[[WatchResponse], object], on_error: Callable[[OarlockError], object] | None
    ) -> None:
        """Calls ``callback`` on the background thread for each response."""

        def deliver(response: WatchResponse) -> Any:
            self._revision = max(self._revision, response.header.revision)
            return callback(response)

        async def begin(client: aio.Client) -> None:
            self._watch.deliver_to(deliver, on_error)

        if self._cancelled:
            raise ClosedError("oarlock: the watch is cancelled")
        self._background.run(begin)
