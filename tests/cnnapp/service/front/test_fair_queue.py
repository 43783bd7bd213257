"""The queue of a model: greedy clients, modest ones, and requests that are given up."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Coroutine
from typing import Any

import pytest

from cnnapp.service.front.fair_queue import FairQueue
from cnnapp.service.protocol import Refusal


def queue_of(places: int = 8, window: int = 1, room: int = 1000, window_room: int = 1000) -> FairQueue:
    return FairQueue(places, window, room, window_room)


class Requests:
    """Requests of several clients, each of which takes some time of a model."""

    def __init__(self, queue: FairQueue, seconds: float = 5.0, work: float = 0.001) -> None:
        self.queue, self.seconds, self.work = queue, seconds, work
        self.answered: list[str] = []
        self.statuses: set[tuple[int, int | None]] = set()
        self.refused: list[tuple[str, str]] = []
        self.most: Counter[str] = Counter()
        self._inside: Counter[str] = Counter()
        self.tasks: list[asyncio.Task[None]] = []

    async def one(self, client: str, size: int = 0, slowly: float = 0.0) -> None:
        try:
            async with self.queue.place(client, self.seconds) as place:
                self._inside[client] += 1
                self.most[client] = max(self.most[client], self._inside[client])
                try:
                    await asyncio.sleep(slowly)
                    place.grow(size)
                    await place.turn()
                    await asyncio.sleep(self.work)
                finally:
                    self._inside[client] -= 1
            self.answered.append(client)
        except Refusal as refusal:
            self.statuses.add((refusal.status, refusal.retry_after))
            self.refused.append((client, refusal.reason))

    def ask(self, client: str, count: int = 1, **how: Any) -> None:
        self.tasks += [asyncio.create_task(self.one(client, **how)) for _ in range(count)]

    async def end(self) -> None:
        await asyncio.gather(*self.tasks)
        assert self.queue.held == 0
        assert self.statuses <= {(503, 1)}
        assert vars(self.queue) | {"_changed": None, "_places": 0, "_window": 0, "_room": 0, "_window_room": 0} == {
            "_changed": None, "_places": 0, "_window": 0, "_room": 0, "_window_room": 0, "held": 0, "_bytes": 0,
            "_held": {}, "_waiting": {}, "_running": 0, "_running_bytes": 0,
        }  # fmt: skip


def run(check: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(check, 20))


def test_a_client_that_is_alone_has_the_whole_queue():
    async def check() -> None:
        requests = Requests(queue_of(places=4))
        requests.ask("greedy", 6)
        await requests.end()
        assert (requests.answered, requests.refused) == (["greedy"] * 4, [("greedy", "queue")] * 2)

    run(check())


def test_a_modest_client_is_served_next_however_many_wait():
    async def check() -> None:
        requests = Requests(queue_of(places=100))
        requests.ask("greedy", 50)
        await asyncio.sleep(0)
        requests.ask("modest")
        await requests.end()
        assert requests.answered.index("modest") <= 2
        assert not requests.refused

    run(check())


def test_a_full_queue_makes_room_until_all_have_their_share():
    async def check() -> None:
        requests = Requests(queue_of(places=8), work=0.01)
        requests.ask("greedy", 8)
        await asyncio.sleep(0)
        requests.ask("modest", 6)
        await asyncio.sleep(0.005)
        assert requests.queue.held == 8
        assert requests.most["modest"] == 4
        await requests.end()
        assert requests.refused.count(("greedy", "share")) == 4
        assert requests.refused.count(("modest", "queue")) == 2
        assert Counter(requests.answered) == {"greedy": 4, "modest": 4}
        # In turn, one a client.
        assert requests.answered[1:7].count("modest") == 3

    run(check())


def test_clients_that_send_slowly_hold_no_place_that_others_need():
    """Half a body for as long as it may take, in every place."""

    async def check() -> None:
        requests = Requests(queue_of(places=4), seconds=0.3)
        requests.ask("slow", 4, slowly=0.2)
        await asyncio.sleep(0)
        requests.ask("modest")
        await asyncio.sleep(0.05)
        assert (requests.answered, requests.refused) == (["modest"], [("slow", "share")])
        await requests.end()

    run(check())


def test_what_a_model_works_at_is_not_given_up():
    async def check() -> None:
        requests = Requests(queue_of(places=2, window=2), work=0.05)
        requests.ask("greedy", 2)
        await asyncio.sleep(0.01)
        requests.ask("modest")
        await requests.end()
        assert (requests.answered, requests.refused) == (["greedy"] * 2, [("modest", "queue")])

    run(check())


def test_bytes_are_shared_as_places_are():
    async def check() -> None:
        requests = Requests(queue_of(places=100, room=100), work=0.02)
        requests.ask("greedy", 10, size=10)
        await asyncio.sleep(0.005)
        requests.ask("modest", size=40)
        await requests.end()
        assert requests.refused == [("greedy", "share")] * 4
        assert Counter(requests.answered) == {"greedy": 6, "modest": 1}

        requests = Requests(queue_of(room=100))
        requests.ask("greedy", size=101)
        await requests.end()
        assert requests.refused == [("greedy", "queue")]

    run(check())


def test_large_requests_go_to_the_model_one_after_the_other():
    async def check() -> None:
        queue = queue_of(window=4, window_room=100)
        requests = Requests(queue, work=0.02)
        requests.ask("any", 3, size=60)
        requests.ask("any", 2, size=20)
        await asyncio.sleep(0.01)
        assert (queue._running, queue._running_bytes) == (1, 60)
        await requests.end()
        assert len(requests.answered) == 5

        requests = Requests(queue)  # one alone may be larger
        requests.ask("any", size=500)
        await requests.end()
        assert requests.answered == ["any"]

    run(check())


def test_time_that_is_over_frees_the_place():
    async def check() -> None:
        requests = Requests(queue_of(), seconds=0.02, work=0.05)
        requests.ask("any", 2)
        with pytest.raises(TimeoutError):
            await requests.end()
        await asyncio.gather(*requests.tasks, return_exceptions=True)
        requests.tasks = []
        await requests.end()

    run(check())


@pytest.mark.parametrize("seed", range(5))
def test_whatever_comes_every_place_is_free_in_the_end(seed: int):
    async def check() -> None:
        draw = random.Random(seed)
        requests = Requests(queue_of(places=6, window=3, room=300, window_room=150), seconds=0.01, work=0.004)

        async def one(client: str) -> None:
            await asyncio.sleep(draw.random() * 0.05)
            with contextlib.suppress(TimeoutError):
                await requests.one(client, draw.choice([0, 10, 90, 200, 400]), draw.choice([0, 0, 0.005]))

        tasks = [asyncio.create_task(one(draw.choice("aaaab"))) for _ in range(150)]
        await asyncio.sleep(0.02)
        for task in draw.sample(tasks, 20):
            task.cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(one is None or isinstance(one, asyncio.CancelledError) for one in found)
        await requests.end()

    run(check())
