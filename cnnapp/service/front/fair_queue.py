"""Whose turn it is: requests for one model, fair to its clients.

A client that is alone has the whole queue. When it is full and another comes, the client that holds most gives up the
newest of its requests that no process works at yet (503), so that every client comes to have an equal share (longest
queue drop). Those that wait are let through in turn, one a client (round robin), so that a client with few requests
waits for few of the others'.

References:
    Nagle 1987, "On Packet Switches with Infinite Storage". Suter et al. 1998, "Design Considerations for Supporting TCP
    with Per-Flow Queueing".
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable

from cnnapp.service.protocol import Refusal

__all__ = ["FairQueue", "Place"]


class Place:
    """The place of one request in a queue.

    Args:
        client: whose request it is.
        queue: that it is in.
    """

    def __init__(self, client: str, queue: FairQueue) -> None:
        self.client, self._queue = client, queue
        self.size = 0
        self.running = self.evicted = False
        self.deadline: asyncio.Timeout | None = None
        self.granted: asyncio.Future[None] | None = None

    def grow(self, size: int) -> None:
        """Note that so many more bytes of the request are held.

        Raises:
            Refusal: if the queue has no room for them that this client may have.
        """
        self._queue.grow(self, size)

    async def turn(self) -> None:
        """Wait until a model may have the request."""
        await self._queue.turn(self)

    def evict(self) -> None:
        """Give up the place: whoever waits in it is told so at once."""
        self.evicted = True
        if self.deadline is not None and not self.deadline.expired():
            self.deadline.reschedule(asyncio.get_running_loop().time())


class FairQueue:
    """The requests that a model holds.

    Args:
        places: how many.
        window: how many of them the model may have at a time; the others wait their turn.
        room: bytes of all of them.
        window_room: bytes of those that the model has; one alone may have more.
        changed: called with the number of requests held.

    Example:
        >>> async def one() -> int:
        ...     queue = FairQueue(places=2, window=1, room=100, window_room=100)
        ...     async with queue.place("anybody", seconds=1.0) as place:
        ...         await place.turn()
        ...         return queue.held
        >>> asyncio.run(one())
        1
    """

    def __init__(
        self, places: int, window: int, room: int, window_room: int, changed: Callable[[int], None] = lambda _: None
    ) -> None:
        self._places, self._window, self._room, self._window_room = places, window, room, window_room
        self._changed = changed
        self._held: dict[str, dict[Place, None]] = {}  # by client, the oldest first
        self._waiting: dict[str, deque[Place]] = {}  # likewise; the client whose turn is next first
        self.held = self._bytes = self._running = self._running_bytes = 0

    @contextlib.asynccontextmanager
    async def place(self, client: str, seconds: float) -> AsyncIterator[Place]:
        """Hold a place for a request.

        Args:
            client: whose request it is.
            seconds: after which it is given up.

        Raises:
            Refusal: if there is none that this client may have, or it was given to another that had fewer.
            TimeoutError: if the time is over.
        """
        place = self._admit(client)
        try:
            async with asyncio.timeout(seconds) as place.deadline:
                yield place
        except TimeoutError:
            if place.evicted:
                raise Refusal(
                    503, "the queue is full, and this client holds most of it; retry later", 1, "share"
                ) from None
            raise
        finally:
            self._leave(place)

    def _admit(self, client: str) -> Place:
        if self.held >= self._places:
            self._make_room(client, lambda held: len(held), 1)
        place = Place(client, self)
        self._held.setdefault(client, {})[place] = None
        self._change(1)
        return place

    def grow(self, place: Place, size: int) -> None:
        """Count bytes of a place; as :meth:`Place.grow`."""
        while not place.evicted and self._bytes + size > self._room:
            self._make_room(place.client, lambda held: sum(one.size for one in held), size)
        if not place.evicted:
            place.size += size
            self._bytes += size

    def _make_room(self, client: str, measure: Callable[[dict[Place, None]], int], needed: int) -> None:
        """Take a place from the client that holds most, if it still has as much as this one then."""
        own = measure(self._held.get(client, {})) + needed
        sizes = {other: measure(held) for other, held in self._held.items()}
        for other in sorted(sizes, key=lambda one: -sizes[one]):
            if sizes[other] <= own or other == client:
                break
            for place in reversed(self._held[other]):
                if not place.running:
                    place.evict()
                    self._leave(place)
                    return
        held = f"{self.held} requests in its queue, {self._bytes / 2**20:.0f} MiB"
        raise Refusal(503, f"the model has {held}, the maximum; retry later", 1, "queue")

    async def turn(self, place: Place) -> None:
        """Wait for a turn; as :meth:`Place.turn`."""
        place.granted = asyncio.get_running_loop().create_future()
        if not place.evicted:
            self._waiting.setdefault(place.client, deque()).append(place)
            self._next()
        if not place.granted.done():
            await place.granted

    def _next(self) -> None:
        while self._waiting and self._running < self._window:
            client, line = next(iter(self._waiting.items()))
            place = line[0]
            if self._running and self._running_bytes + place.size > self._window_room:
                return
            del self._waiting[client]
            line.popleft()
            if line:
                self._waiting[client] = line  # behind all others
            place.running = True
            self._running += 1
            self._running_bytes += place.size
            if place.granted is not None and not place.granted.done():
                place.granted.set_result(None)

    def _leave(self, place: Place) -> None:
        held = self._held.get(place.client, {})
        if place not in held:
            return  # it was evicted
        del held[place]
        if not held:
            del self._held[place.client]
        self._bytes -= place.size
        if place.running:
            self._running -= 1
            self._running_bytes -= place.size
        elif place in (line := self._waiting.get(place.client, deque())):
            line.remove(place)
            if not line:
                del self._waiting[place.client]
        self._change(-1)
        self._next()

    def _change(self, change: int) -> None:
        self.held += change
        self._changed(self.held)
