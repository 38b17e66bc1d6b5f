"""The row `loop`: for how long nobody at all was answered, while everybody wants something.

Jobs are posted on 64 connections and run at once, ten readers follow the whole log from its
beginning, two clients ask for the longest lists, and the read model is written every second. A
probe inside the server (`probed`) knows how late the loop was.
"""

from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Final

import orjson
from msgspec.structs import replace

from projections.table import PAGE_MAX
from service.bench import noop, probed
from service.bench.ground import Ground
from service.bench.history import COMMON
from service.bench.load import Order, generate, request
from service.bench.measured import Measured
from service.bench.plan import CONNECTIONS
from service.bench.process import Server, running
from service.bench.sizes import finished

READERS, LISTENERS = 2, 10  # of lists, of the log
LONG: Final = (f"limit={PAGE_MAX}", f"limit={PAGE_MAX}&q={COMMON}&count=true")


def loop(ground: Ground) -> Measured:
    """See the module."""
    root, plan = finished(ground), ground.plan
    seconds = str(plan.warm_s + plan.blocked_s)
    with (
        running(probed.__name__, str(root), seconds) as server,
        ground.progress(2, "loop") as advance,
    ):
        advance(1)
        orders = _orders(server, plan.warm_s, plan.blocked_s)
        with ThreadPoolExecutor(len(orders)) as threads:
            [posted], [listed], _ = threads.map(lambda order: [*generate(order)], orders)
        late = orjson.loads(server.stop())
        advance(1)
    more = {
        "p999_ms": late["p999_ms"],
        "posts_per_s": posted.rate,
        "lists_per_s": listed.rate,
    }
    return Measured(late["worst_ms"], None, more)


def _orders(server: Server, warm_s: float, seconds: float) -> list[Order]:
    body = orjson.dumps({"n": 1})
    posting = Order(
        address=server.address,
        requests=(request(server, "POST", f"/jobs/{noop.KIND}", body),),
        status=HTTPStatus.ACCEPTED,
        connections=CONNECTIONS,
        warm_s=warm_s,
        seconds=seconds,
    )
    pages = tuple(request(server, "GET", f"/jobs?{query}") for query in LONG)
    listing = replace(posting, requests=pages, status=HTTPStatus.OK, connections=READERS)
    stream = request(server, "GET", "/events?after=0", accept="text/event-stream")
    following = replace(listing, requests=(stream,), connections=LISTENERS, follow=True)
    return [posting, listing, following]
