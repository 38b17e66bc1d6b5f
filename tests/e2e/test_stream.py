"""Following the log of a real server, over real connections that break.

A reader that is cut off anywhere, in the middle of a line too, and comes again with the last id it
has seen, gets exactly the log: nothing is lost, nothing comes twice. Many may read while jobs run,
and none of them holds up a stop.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import httpx2
import pytest

from tests.support.follow import Sent, parsed
from tests.support.server import Server, serving

CERTAIN = ("--email-latency", "0", "--email-failure-rate", "0")
SSE = {"Accept": "text/event-stream"}
READERS = 20
JOBS = 60
EVENTS_A_JOB = 3


async def raw(client: httpx2.AsyncClient, path: str, after: str) -> AsyncIterator[bytes]:
    """The bytes of a stream, until it ends."""
    headers = SSE | ({"Last-Event-ID": after} if after else {})
    async with client.stream("GET", path, headers=headers) as answer:
        assert answer.status_code == 200
        async for chunk in answer.aiter_raw():
            yield chunk


def whole(text: bytes) -> list[Sent]:
    """The events in it that are complete; what follows the last blank line is not."""
    blocks = text.decode(errors="ignore").split("\n\n")[:-1]
    return [sent for sent in map(parsed, blocks) if sent.event]


async def until(client: httpx2.AsyncClient, path: str, last: int) -> list[int]:
    """The positions that one reader gets, up to this one."""
    text = b""
    async for chunk in raw(client, path, ""):
        text += chunk
        found = whole(text)
        if found and int(found[-1].id) >= last:
            return [int(sent.id) for sent in found]
    raise AssertionError("the stream ended by itself")


async def cut_off_again_and_again(
    client: httpx2.AsyncClient, path: str, last: int, dice: Random
) -> tuple[list[Sent], int]:
    """What a reader has collected at the end whose connection breaks after some bytes each time,
    and how often that was.
    """
    collected: list[Sent] = []
    cuts = 0
    while not collected or int(collected[-1].id) < last:
        stream = raw(client, path, collected[-1].id if collected else "")
        text, room = b"", dice.randrange(1, 4_000)
        async for chunk in stream:
            text += chunk
            if len(text) >= room or ((found := whole(text)) and int(found[-1].id) >= last):
                break
        await stream.aclose()  # type: ignore[attr-defined]
        collected += whole(text[:room] if len(text) >= room else text)
        cuts += 1
    return collected, cuts


async def post(client: httpx2.AsyncClient) -> str:
    body = {"to": "ada@example.com", "subject": "Hello"}
    answer = await client.post("/jobs/email", json=body, headers={"Prefer": "wait=30"})
    assert answer.json()["status"] == "completed", answer.text
    return str(answer.json()["id"])


def lines(server: Server) -> list[dict[str, object]]:
    headers = {"Accept": "application/x-ndjson"}
    answer = server.ask("GET", "/events?limit=1000", headers=headers)
    return [json.loads(line) for line in answer.body.splitlines()]


@pytest.mark.real_time
async def test_a_reader_that_is_cut_off_again_and_again_gets_exactly_the_log(
    tmp_path: Path,
) -> None:
    dice = Random(11)
    with serving(tmp_path / "data", *CERTAIN) as server:
        async with httpx2.AsyncClient(base_url=server.url, timeout=60) as client:
            last = 2 + JOBS * EVENTS_A_JOB
            readers = [
                asyncio.create_task(cut_off_again_and_again(client, "/events", last, dice))
                for _ in range(4)
            ]
            for _ in range(JOBS):
                await post(client)
            log = lines(server)
            assert [line["pos"] for line in log] == list(range(1, last + 1))
            for collected, cuts in await asyncio.gather(*readers):
                assert cuts > 10
                assert [json.loads(sent.data)["pos"] for sent in collected] == [
                    line["pos"] for line in log
                ]
                for sent, line in zip(collected, log, strict=True):
                    framing = {"more", "commit", "crc"}
                    assert json.loads(sent.data) == {
                        name: value for name, value in line.items() if name not in framing
                    }


@pytest.mark.real_time
async def test_many_read_while_jobs_run_and_each_gets_everything_in_order(tmp_path: Path) -> None:
    with serving(tmp_path / "data", *CERTAIN) as server:
        limits = httpx2.Limits(max_connections=200)
        async with httpx2.AsyncClient(base_url=server.url, timeout=60, limits=limits) as client:
            last = 2 + JOBS * EVENTS_A_JOB
            readers = [asyncio.create_task(until(client, "/events", last)) for _ in range(READERS)]
            jobs = await asyncio.gather(*(post(client) for _ in range(JOBS)))
            everything = list(range(1, last + 1))
            assert await asyncio.gather(*readers) == [everything] * READERS
            for job_id in jobs[:5]:
                mine = [line["pos"] for line in lines(server) if line["stream"] == job_id]
                assert await until(client, f"/jobs/{job_id}/events", int(str(mine[-1]))) == mine


@pytest.mark.real_time
async def test_streams_end_in_good_order_when_the_server_stops(tmp_path: Path) -> None:
    with serving(tmp_path / "data", *CERTAIN) as server:
        async with httpx2.AsyncClient(base_url=server.url, timeout=60) as client:
            job_id = await post(client)
            begun = [asyncio.Event() for _ in range(2)]

            async def read(path: str, event: asyncio.Event) -> bytes:
                text = b""
                async for chunk in raw(client, path, ""):  # raises when it is cut off
                    text += chunk
                    event.set()
                return text

            paths = ["/events", f"/jobs/{job_id}/events"]
            readers = [
                asyncio.create_task(read(path, event))
                for path, event in zip(paths, begun, strict=True)
            ]
            for event in begun:
                await event.wait()
            code = await asyncio.to_thread(server.terminate)
            texts = await asyncio.gather(*readers)
    assert code == 0
    assert all(whole(text) for text in texts)
