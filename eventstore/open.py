"""From a URL to a store: the only module that knows all the engines.

    file:DIR     JSON lines in a directory; one machine, durable; the default
    memory:      nothing is kept; tests and demonstrations

An engine that is not installed, or a URL nobody knows, is refused by name.
"""

from random import Random

from eventstore.errors import Unsupported
from eventstore.file.store import FileStore
from eventstore.memory import MemoryStore
from eventstore.offload import Thread
from eventstore.store import EventStore


async def open_store(url: str, *, dice: Random, owner: str = "") -> EventStore:
    """The store of this URL, open for writing. Raises Unsupported and what the engine's opening
    raises.
    """
    scheme, _, rest = url.partition(":")
    if scheme == "file" and rest:
        return await FileStore.open(
            rest, dice=dice, owner=owner, offload=Thread("log"), flush_offload=Thread("index")
        )
    if scheme == "memory" and not rest:
        return MemoryStore(log_id=f"{dice.getrandbits(128):032x}")
    raise Unsupported(f"{url!r} is no store: file:DIR or memory:")
