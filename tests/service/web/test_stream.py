"""Server-sent events of `/events` and `/jobs/{id}/events`: what is sent, when, from where on, until
when.

On virtual time, so that fifteen seconds of silence are none. That a reader who is cut off again and
again still gets the log, over a real connection, is `tests/e2e/test_stream`'s matter.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence

import pytest

from eventstore.event import Event, canonical
from service.commands import Ending
from service.feed import GATHER_S, READ_EVENTS
from service.web import events as events_module
from service.web import rendering
from service.web.events import EventStream
from service.web.waits import Waits
from tests.support.follow import following
from tests.support.loop import elapsed
from tests.support.service import running_service
from tests.support.turns import counting_turns

RELEASED = Ending("released", "Released", "a stop")


async def test_an_event_has_its_position_its_type_and_its_canonical_line() -> None:
    async with running_service() as service:
        job_id = await service.post()
        async with following(service.app, f"/jobs/{job_id}/events") as reader:
            sent = await reader.next()
            [event] = await service.log.read_stream(job_id)
            assert (sent.id, sent.event) == (str(event.pos), "JobCreated")
            assert sent.data.encode() == canonical(event.line)
        assert reader.status == 200
        assert reader.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert reader.headers["cache-control"] == "no-store"
        assert reader.headers["x-accel-buffering"] == "no"


@pytest.mark.parametrize("path", ["/events", "/jobs/{id}/events"])
async def test_a_stream_begins_by_saying_when_to_come_again(path: str) -> None:
    async with running_service() as service:
        url = path.format(id=await service.post())
        async with following(service.app, url) as reader:
            assert (await reader.block()).text == "retry: 3000"


async def test_the_whole_log_is_sent_and_then_what_comes() -> None:
    async with running_service() as service:
        jobs = [await service.post() for _ in range(2 * READ_EVENTS + 3)]
        async with following(service.app, "/events") as reader:
            before = await reader.events(len(jobs) + 1)
            jobs.append(await service.post())
            after = await reader.next()
            assert elapsed() == GATHER_S
        assert [sent.id for sent in [*before, after]] == [str(n + 1) for n in range(len(jobs) + 1)]
        assert json.loads(after.data)["stream"] == jobs[-1]


@pytest.mark.parametrize("how", ["after", "header", "both"])
@pytest.mark.parametrize("path", ["/events", "/jobs/{id}/events"])
async def test_it_goes_on_after_the_last_one_seen(path: str, how: str) -> None:
    async with running_service() as service:
        job_id = await service.post()
        await service.complete(job_id)
        seen = {"after": "?after=3", "header": "", "both": "?after=0"}[how]
        headers = {} if how == "after" else {"Last_Event_ID": "3"}
        async with following(service.app, path.format(id=job_id) + seen, **headers) as reader:
            assert (await reader.next()).id == "4"


@pytest.mark.parametrize("wrong", ["", "x", "-1", "1.5", "²", str(2**63), "9" * 40])
async def test_400_for_a_last_event_id_that_is_no_position(wrong: str) -> None:
    async with running_service() as service:
        headers = {"Accept": "text/event-stream", "Last-Event-ID": wrong.encode()}
        answer = await service.http.get("/events", headers=headers)
        assert answer.status_code == 400
        assert answer.json()["type"] == "/problems/invalid-header"


async def test_422_for_a_limit_because_it_never_ends() -> None:
    async with running_service() as service:
        headers = {"Accept": "text/event-stream"}
        answer = await service.http.get("/events?limit=5", headers=headers)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == "?limit"


async def test_404_for_the_stream_of_no_job() -> None:
    async with running_service() as service:
        for name in ("nobody", "log"):
            headers = {"Accept": "text/event-stream"}
            answer = await service.http.get(f"/jobs/{name}/events", headers=headers)
            assert answer.status_code == 404


async def test_head_is_answered_and_not_held() -> None:
    async with running_service(held_max=0) as service:
        answer = await service.http.head("/events", headers={"Accept": "text/event-stream"})
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"


@pytest.mark.parametrize("path", ["/events?after=2", "/jobs/{id}/events?after=2"])
async def test_fifteen_seconds_of_silence_are_broken_by_a_comment(path: str) -> None:
    async with running_service() as service:
        url = path.format(id=await service.post())
        async with following(service.app, url) as reader:
            await reader.block()
            for seconds in (15, 30):
                comment = await reader.block()
                assert comment.text.startswith(":")
                assert elapsed() == seconds


async def test_events_that_do_not_fit_do_not_break_the_silence() -> None:
    async with (
        running_service() as service,
        following(service.app, "/events?type=JobCancelled") as reader,
    ):
        await reader.block()
        for _ in range(20):
            await asyncio.sleep(1)
            await service.post()
        assert (await reader.block()).text.startswith(":")
        assert reader.waiting == 0


async def test_only_what_was_asked_for_is_sent() -> None:
    async with running_service() as service:
        first, second = await service.post(), await service.post()
        url = f"/events?stream={second}&type=JobCompleted"
        async with (
            following(service.app, f"/events?stream={second}") as of_stream,
            following(service.app, "/events?type=JobCompleted") as of_type,
            following(service.app, url) as of_both,
        ):
            for job_id in (first, second):
                await service.complete(job_id)
            types = [sent.event for sent in await of_stream.events(3)]
            assert types == ["JobCreated", "AttemptStarted", "JobCompleted"]
            assert [json.loads(sent.data)["stream"] for sent in await of_type.events(2)] == [
                first,
                second,
            ]
            assert json.loads((await of_both.next()).data)["stream"] == second


async def test_a_job_is_followed_through_its_end_and_beyond() -> None:
    async with running_service() as service:
        job_id = await service.post()
        async with following(service.app, f"/jobs/{job_id}/events") as reader:
            assert (await reader.next()).event == "JobCreated"
            await service.http.post(f"/jobs/{job_id}/cancel")
            assert (await reader.next()).event == "JobCancelled"
            await asyncio.sleep(100)
            await service.http.post(f"/jobs/{job_id}/retry")
            assert (await reader.next()).event == "JobRetried"
            assert elapsed() == 100


async def test_what_is_sent_of_a_job_does_not_wait_for_the_read_model() -> None:
    async with running_service(projecting=False) as service:
        job_id = await service.post()
        await service.project()
        async with following(service.app, f"/jobs/{job_id}/events") as reader:
            assert (await reader.next()).event == "JobCreated"
            await service.start(job_id)
            await service.project()
            await service.project()
            assert (await reader.next()).event == "AttemptStarted"


async def test_a_stream_ends_when_the_service_stops() -> None:
    async with running_service() as service:
        job_id = await service.post()
        async with (
            following(service.app, "/events") as log,
            following(service.app, f"/jobs/{job_id}/events") as job,
        ):
            await asyncio.sleep(5)
            service.jobs.hold_nothing()
            await log.ended.wait()
            await job.ended.wait()
            assert elapsed() <= 6
        async with following(service.app, "/events") as late:
            await late.ended.wait()


async def test_a_stream_takes_a_place_until_its_reader_goes_away() -> None:
    async with running_service(held_max=1) as service:
        async with following(service.app, "/events"), following(service.app, "/events") as second:
            assert second.status == 503
            assert second.headers["content-type"] == "application/problem+json"
        async with following(service.app, "/events") as third:
            assert third.status == 200


async def test_who_does_not_read_is_not_read_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_service() as service:
        for _ in range(4 * READ_EVENTS):
            await service.post()
        asked: list[int] = []
        read = service.log.read

        async def counted(after: int, limit: int) -> list[Event]:
            asked.append(after)
            return await read(after, limit)

        monkeypatch.setattr(service.log, "read", counted)
        async with following(service.app, "/events", reads=3):
            await asyncio.sleep(100)
            assert asked == [0, READ_EVENTS]


@pytest.mark.parametrize("path", ["/events", "/jobs/{id}/events"])
async def test_others_have_turns_between_the_parts_of_what_is_there_at_once(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rendering, "SLICE_BYTES", 1)
    async with running_service() as service:
        job_id = await service.post()
        for _ in range(20):
            await service.fail(job_id, RELEASED)
        number = len(await service.log.read_stream(job_id))
        async with counting_turns() as turns:
            async with following(service.app, path.format(id=job_id)) as reader:
                await reader.events(1)
                begun = turns.taken
                await reader.events(number - 1)
            assert turns.taken - begun >= number - 1


async def test_of_many_streams_one_writes_in_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    written: Counter[int] = Counter()
    async with running_service() as service, counting_turns() as turns:
        log, turn = await service.log.read(), asyncio.Lock()

        def noted(events: Sequence[Event]) -> Iterator[bytes]:
            for part in rendering.sent(events):
                written[turns.taken] += 1
                yield part

        async def batches() -> AsyncIterator[list[Event]]:
            for _ in range(3):
                yield log

        async def read() -> None:
            async for _ in EventStream(batches(), Waits(1), turn).body_iterator:
                pass

        monkeypatch.setattr(events_module, "sent", noted)
        await asyncio.gather(*(read() for _ in range(10)))
    assert sum(written.values()) == 3 * 10
    assert set(written.values()) == {1}
