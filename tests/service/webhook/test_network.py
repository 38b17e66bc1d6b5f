"""The guarded network: what a name leads to is judged, and is what gets connected to.

Names are resolved by a fake, which may answer otherwise each time; the connections are real, and to
this machine only.
"""

import asyncio
import threading

import pytest
from httpcore2 import ConnectError, ConnectTimeout

from service.processors.webhook import network as network_module
from service.processors.webhook.guard import Guard
from service.processors.webhook.network import (
    GuardedNetwork,
    RefusedAddressError,
    Resolver,
    UnresolvedError,
)
from tests.support.receiver import answers, receiving

LOOPBACK = Guard(["127.0.0.0/8"])


class Names:
    """A resolver that answers with the next of its answers, the last one for ever."""

    def __init__(self, *found: list[str]) -> None:
        self.found = list(found)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> list[str]:
        """See Resolve."""
        self.asked.append(host)
        return self.found.pop(0) if len(self.found) > 1 else self.found[0]


@pytest.mark.real_time
async def test_the_connection_is_to_the_address_that_was_judged() -> None:
    async with receiving(answers(200)) as receiver:
        names = Names(["127.0.0.1"], ["10.0.0.1"])
        stream = await GuardedNetwork(LOOPBACK, names).connect_tcp("a.example", receiver.port, 5)
        assert stream.get_extra_info("server_addr") == ("127.0.0.1", receiver.port)
        assert names.asked == ["a.example"], "once: there is no second answer to be fooled by"
        await stream.aclose()


@pytest.mark.real_time
async def test_a_name_that_is_rebound_to_this_machine_is_refused() -> None:
    async with receiving(answers(200)) as receiver:
        names = Names(["93.184.215.14"], ["127.0.0.1"])
        assert await names("a.example", 80) == ["93.184.215.14"]  # when somebody checked it before
        with pytest.raises(RefusedAddressError, match=r"a\.example is 127\.0\.0\.1, which is not"):
            await GuardedNetwork(Guard(), names).connect_tcp("a.example", receiver.port, 5)
        assert receiver.connections == 0


@pytest.mark.real_time
@pytest.mark.parametrize(
    "found",
    [["10.0.0.1"], ["::1"], ["::ffff:127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["fe80::1%eth0"]],
)
async def test_one_address_out_of_bounds_refuses_them_all(found: list[str]) -> None:
    with pytest.raises(RefusedAddressError):
        await GuardedNetwork(Guard(), Names(found)).connect_tcp("a.example", 80, 5)


@pytest.mark.real_time
@pytest.mark.parametrize("host", ["127.0.0.1", "0x7f.1", "2130706433", "localhost"])
async def test_the_system_s_resolver_fools_nobody(host: str) -> None:
    """Spellings that get past intake in another version of it, say."""
    resolver = Resolver()
    async with receiving(answers(200)) as receiver:
        with pytest.raises(RefusedAddressError):
            await GuardedNetwork(Guard(), resolver).connect_tcp(host, receiver.port, 5)
        assert receiver.connections == 0
    resolver.close()


@pytest.mark.real_time
async def test_the_next_address_is_tried_when_one_does_not_answer() -> None:
    async with receiving(answers(200)) as receiver:
        names = Names(["127.0.0.2", "127.0.0.1"])  # only the second listens
        stream = await GuardedNetwork(LOOPBACK, names).connect_tcp("a.example", receiver.port, 5)
        assert stream.get_extra_info("server_addr")[0] == "127.0.0.1"
        await stream.aclose()


@pytest.mark.real_time
async def test_nobody_there_is_a_connect_error() -> None:
    with pytest.raises(ConnectError):
        await GuardedNetwork(LOOPBACK, Names(["127.0.0.1"])).connect_tcp("a.example", 1, 5)


@pytest.mark.real_time
async def test_a_name_without_addresses_is_unresolved() -> None:
    with pytest.raises(UnresolvedError, match=r"a\.example has no address"):
        await GuardedNetwork(LOOPBACK, Names([])).connect_tcp("a.example", 80, 5)


@pytest.mark.real_time
async def test_a_name_that_does_not_exist_is_unresolved() -> None:
    resolver = Resolver()
    for name in ("does-not-exist.invalid", "a" * 64 + ".example"):
        with pytest.raises(UnresolvedError):
            await resolver(name, 80)
    resolver.close()


async def test_a_resolver_that_hangs_is_a_time_out() -> None:
    async def hang(_: str, __: int) -> list[str]:
        await asyncio.sleep(3600)
        return []

    with pytest.raises(ConnectTimeout, match="within 10 s"):
        await GuardedNetwork(LOOPBACK, hang).connect_tcp("a.example", 80, 10)


@pytest.mark.real_time
async def test_to_close_a_resolver_waits_for_no_name_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answered, asked = threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def hang(*_: object) -> list[str]:
        loop.call_soon_threadsafe(asked.set)
        answered.wait(30)
        return []

    monkeypatch.setattr(network_module, "_addresses", hang)
    resolver = Resolver()
    asking = asyncio.create_task(resolver("a.example", 80))
    await asked.wait()
    resolver.close()
    answered.set()
    assert await asking == []


@pytest.mark.real_time
async def test_a_closed_resolver_leaves_no_thread() -> None:
    before = set(threading.enumerate())
    resolver = Resolver()
    await resolver("localhost", 80)
    resolver.close()
    assert set(threading.enumerate()) <= before


@pytest.mark.real_time
async def test_a_network_that_judges_another_look_up_than_it_uses_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a check before the request amounts to."""

    async def permitted(network: GuardedNetwork, host: str, port: int) -> list[str]:
        for address in await network._resolve(host, port):
            assert network._guard.permits(network_module.ip_address(address))
        return await network._resolve(host, port)

    monkeypatch.setattr(GuardedNetwork, "_permitted", permitted)
    async with receiving(answers(200)) as receiver:
        names = Names(["93.184.215.14"], ["127.0.0.1"])
        stream = await GuardedNetwork(Guard(), names).connect_tcp("a.example", receiver.port, 5)
        await stream.aclose()
        assert receiver.connections == 1
