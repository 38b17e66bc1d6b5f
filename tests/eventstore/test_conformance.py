"""Every engine against the contract: one line an engine, and every case of `conformance` for each.

There are no cases here. An engine that needs threads or a server runs in real time; the others run
on virtual time, where a lost wake-up is a deadlock at once instead of a test that hangs.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from random import Random

import pytest

from eventstore.file.store import FileStore
from eventstore.memory import MemoryStore
from eventstore.offload import Inline, Thread
from eventstore.store import EventStore
from tests.eventstore.conformance import CASES, Case, Driver
from tests.support.simdisk import SimDisk

SMALL_SEGMENT = 64  # so that commits cross segments all the time

_simulated: dict[Path, SimDisk] = {}


@asynccontextmanager
async def memory(path: Path) -> AsyncIterator[EventStore]:
    store = MemoryStore(log_id=f"{1:032x}")
    yield store
    await store.aclose()


@asynccontextmanager
async def file(path: Path) -> AsyncIterator[EventStore]:
    store = await FileStore.open(str(path), dice=Random(1), offload=Inline())
    yield store
    await store.aclose()


@asynccontextmanager
async def file_small(path: Path) -> AsyncIterator[EventStore]:
    disk = _simulated.setdefault(path, SimDisk())
    store = await FileStore.open(
        "data", dice=Random(1), offload=Inline(), disk=disk, segment_events=SMALL_SEGMENT
    )
    yield store
    await store.aclose()


@asynccontextmanager
async def file_thread(path: Path) -> AsyncIterator[EventStore]:
    log, index = Thread("log"), Thread("index")
    store = await FileStore.open(str(path), dice=Random(1), offload=log, flush_offload=index)
    yield store
    await store.aclose()
    log.close()
    index.close()


DRIVERS = [
    Driver("memory", memory, durable=False, second_writer=False),
    Driver("file", file, second_writer=False),
    Driver("file-small", file_small, second_writer=False),
    Driver("file-thread", file_thread, second_writer=False, real_time_only=True),
]


@pytest.mark.parametrize(
    ("driver", "case"),
    [
        pytest.param(
            driver,
            case,
            id=f"{driver.name}-{case.clause}-{case.name}",
            marks=[pytest.mark.real_time] if driver.real_time_only else [],
        )
        for driver in DRIVERS
        for case in CASES
        if case.asked_of(driver)
    ],
)
async def test_the_contract_holds(driver: Driver, case: Case, tmp_path: Path) -> None:
    await case.run(partial(driver.open, tmp_path / "data"))
