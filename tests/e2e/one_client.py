"""One client of a server whose disk fails: it asks one thing after the other, so that it knows what
was answered before the fault and what after.

A 503 is an answer here, and the point. `load` has the clients that ask as fast as they can.
"""

import time

from tests.e2e.load import Away
from tests.e2e.trial import Trial
from tests.support.server import Answer

END_S = 5  # a second, as is promised, and the patience that a busy machine asks for
ROOM_S = 30  # for intake to open again
POSTS_MAX = 60  # more than any fault waits for


class OneClient:
    """Of the server that runs; one is started if there is none."""

    _number = 0

    def __init__(self, stage: Trial) -> None:
        self.stage = stage
        self.server = stage.server or stage.start()
        self._connection = stage.connect()

    def post(self, *, takes_s: float = 0, fill: int = 200) -> Answer:
        """One job. Raises Away when the connection breaks."""
        OneClient._number += 1
        tag = f"f{OneClient._number}"
        payload = {"tag": tag, "takes_s": takes_s, "fill": "x" * fill}
        answer = self._connection.ask_whatever("POST", "/jobs/near", payload)
        if answer.status == 202:
            self.stage.promises.made([tag], answer)
        return answer

    def work(self, posts: int) -> None:
        """So many jobs are taken."""
        for _ in range(posts):
            answer = self.post()
            assert answer.status == 202, answer

    def until_refused(self, posts: int = POSTS_MAX, *, fill: int = 200) -> None:
        """Post until it is not taken. Raises Away."""
        for _ in range(posts):
            answer = self.post(fill=fill)
            if answer.status != 202:
                assert answer.status == 503, answer
                return
        raise AssertionError("it takes everything, as if nothing had failed")

    def require_end(self) -> None:
        """Nothing more is taken, and the process ends by itself, soon."""
        refused = time.monotonic()
        try:
            while True:
                answer = self.post()
                assert answer.status == 503, f"after a failed sync: {answer}"
                late = time.monotonic() - refused
                assert late < END_S, f"{late:.1f} s after the fault it still answers"
        except Away:
            pass
        code = self.server.wait()
        assert code == 1, (code, self.server.lines)
        self.stage.gone()

    def require_reading(self) -> None:
        """What is known can be read."""
        job_id = self.stage.promises.jobs[-1]
        answer = self._connection.ask_whatever("GET", f"/jobs/{job_id}")
        assert answer.status == 200, answer

    def until_taken(self) -> None:
        """It goes on once there is room."""
        since = time.monotonic()
        while self.post().status != 202:
            assert time.monotonic() - since < ROOM_S, "there is room, and it takes nothing"
