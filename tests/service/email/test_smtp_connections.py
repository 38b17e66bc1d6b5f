"""Connections that are kept: used again, dropped by the server, given up when something went wrong,
and never more than are allowed.
"""

import asyncio

import pytest

from service.processors.email.smtp import Deferred
from tests.support.letters import ADA, EVE, attempt, letter
from tests.support.smtp import DROP, HANG, mail_server, sending, smtp_transport

pytestmark = pytest.mark.real_time

SHORT_S = 0.2


async def send(carrier, job_id="j", **fields):
    return await carrier(letter(**fields), attempt(job_id=job_id))


async def test_one_connection_carries_one_message_after_the_other():
    async with sending() as (server, carrier):
        for n in range(5):
            await send(carrier, f"job-{n}")
        assert (server.connections, len(server.received)) == (1, 5)
    assert server.commands.count("RSET") == 4


async def test_many_at_a_time_use_no_more_connections_than_allowed():
    async with sending(connections_max=3) as (server, carrier):
        await asyncio.gather(*(send(carrier, f"job-{n}", subject=str(n)) for n in range(30)))
        assert server.connections <= 3
    assert len({each.content for each in server.received}) == 30


async def test_a_refusal_does_not_cost_the_connection():
    async with sending() as (server, carrier):
        for phase, reply in [
            ("mail", "550 no"),
            ("rcpt", "550 no"),
            ("data", "451 no"),
            ("end", "554 no"),
        ]:
            server.script(phase, reply, times=1)
            with pytest.raises(Exception, match="no"):
                await send(carrier)
        await send(carrier)
        assert (server.connections, len(server.received)) == (1, 1)


async def test_a_recipient_of_an_earlier_message_does_not_get_the_next():
    async with sending() as (server, carrier):
        server.script("data", "451 later", times=1)
        with pytest.raises(Deferred):
            await send(carrier, to=EVE)
        await send(carrier, to=ADA)
    assert [each.recipients for each in server.received] == [[ADA]]


async def test_a_connection_that_the_server_dropped_while_idle_is_replaced():
    async with sending() as (server, carrier):
        await send(carrier)
        server.drop_all()
        await send(carrier)
        assert (server.connections, len(server.received)) == (2, 2)


@pytest.mark.parametrize("phase", ["rset", "mail", "rcpt", "data"])
@pytest.mark.parametrize("action", [DROP, "421 4.4.2 idle too long"])
async def test_one_that_is_dropped_in_use_before_the_message_is_replaced_at_once(phase, action):
    async with sending() as (server, carrier):
        await send(carrier)
        server.script(phase, action, times=1)
        await send(carrier)
        assert (server.connections, len(server.received)) == (2, 2)


@pytest.mark.parametrize("action", [HANG, "500 what?"])
async def test_one_that_does_not_answer_rset_is_replaced(action):
    async with sending(connect_s=SHORT_S) as (server, carrier):
        await send(carrier)
        server.script("rset", action, times=1)
        await send(carrier)
        assert (server.connections, len(server.received)) == (2, 2)


async def test_but_only_once():
    async with sending() as (server, carrier):
        await send(carrier)
        server.script("mail", DROP)
        with pytest.raises(Deferred):
            await send(carrier)
        assert server.connections == 2


async def test_a_new_one_that_is_dropped_is_not_replaced():
    async with sending() as (server, carrier):
        server.script("mail", DROP, times=1)
        with pytest.raises(Deferred):
            await send(carrier)
        assert server.connections == 1


@pytest.mark.parametrize("phase", ["mail", "rcpt", "data"])
async def test_one_that_hung_is_not_used_again(phase):
    async with sending(command_s=SHORT_S) as (server, carrier):
        server.script(phase, HANG, times=1)
        with pytest.raises(Deferred):
            await send(carrier)
        await send(carrier)
        assert (server.connections, len(server.received)) == (2, 1)


async def test_an_attempt_that_was_stopped_leaves_no_connection_in_the_middle_of_something():
    async with sending(connections_max=1) as (server, carrier):
        server.script("mail", HANG, times=1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(SHORT_S):
                await send(carrier)
        await send(carrier)
        assert (server.connections, len(server.received)) == (2, 1)


async def test_a_server_that_starts_again_is_found_again():
    async with mail_server() as first:
        carrier = smtp_transport(first)
        await send(carrier)
    with pytest.raises(Deferred):
        await send(carrier)
    async with mail_server(port=first.port) as second:
        await send(carrier)
        await carrier.aclose()
    assert len(second.received) == 1


async def test_an_idle_connection_grows_old_and_is_closed():
    async with sending(idle_s=0.01) as (server, carrier):
        await send(carrier)
        async with asyncio.timeout(5):
            await server.alone.wait()
        await send(carrier)
        assert (server.connections, len(server.received)) == (2, 2)


async def test_when_the_transport_is_closed_so_are_its_connections():
    async with sending() as (server, carrier):
        await asyncio.gather(*(send(carrier, f"job-{n}") for n in range(3)))
        await carrier.aclose()
        async with asyncio.timeout(5):
            await server.alone.wait()
        assert len(server.received) == 3


async def test_one_that_is_in_use_then_is_closed_after_use():
    async with sending() as (server, carrier):
        running = asyncio.create_task(send(carrier))
        await server.met.wait()
        await carrier.aclose()
        await running
        async with asyncio.timeout(5):
            await server.alone.wait()
