"""The row `lists`: how long a person waits for a list when all jobs are there.

Lists as people ask for them, one request after the other on one connection: the newest, those of a
state, of a kind, those with a word that one job has or that all have, and how many there are of
each. The slowest of them counts.
"""

from http import HTTPStatus
from typing import Final

from service.bench.ground import Ground
from service.bench.history import COMMON, RARE
from service.bench.load import Order, latencies_ms, request
from service.bench.measured import Measured
from service.bench.process import serving
from service.bench.quantile import median
from service.bench.sizes import finished

LISTS: Final = {
    "newest": "",
    "finished": "status=completed",
    "none": "status=failed",
    "kind": "status=completed&kind=email",
    "rare_word": f"q={RARE}",
    "common_word": f"q={COMMON}",
    "counted": "count=true",
    "counted_of_kind": "status=completed&kind=email&count=true",
    "counted_word": f"q={COMMON}&count=true",
}


def lists(ground: Ground) -> Measured:
    """See the module."""
    with serving(finished(ground), "--no-worker") as server:
        orders = [
            Order(
                address=server.address,
                requests=(request(server, "GET", f"/jobs?{query}"),),
                status=HTTPStatus.OK,
                connections=1,
                warm_s=ground.plan.warm_s / 4,
                seconds=ground.plan.list_s,
            )
            for query in LISTS.values()
        ]
        done = ground.load("lists", *orders)
    found = {
        f"{name}_ms": median(latencies_ms([each])) for name, each in zip(LISTS, done, strict=True)
    }
    return Measured(max(found.values()), None, found)
