"""The level `hostile requests`: what comes over HTTP may be anything.

A round asks the application in process, on virtual time (`web/hostile_requests.py`), and then
a server on a socket (`hostile_bytes.py`). What each sends, and what must be true of the answers, is
said there. Which request was refused with what is not checked here: the rest of the tests do that.
"""

from tests.service.hostile_bytes import try_bytes
from tests.service.web.hostile_requests import try_requests
from tests.trials.level import Figures, Level

REQUESTS, CONNECTIONS = 2_500, 600


def one_round(seed: int) -> Figures:
    """Both."""
    requests = try_requests(seed, REQUESTS)
    connections, answers = try_bytes(seed, CONNECTIONS)
    return {"requests": requests, "connections": connections, "answers": answers}


LEVEL = Level(
    name="hostile requests",
    breaks="bodies, queries, headers and raw bytes that no honest client sends, in any pieces",
    proves="each gets one documented answer, none ends the server, what is refused leaves no job",
    leaves="what needs a token; clients that are slow (hostile clients); TLS, which a proxy ends",
    round=one_round,
    short=4,
    least={"requests": 10_000, "connections": 2_400, "answers": 2_400},
)
