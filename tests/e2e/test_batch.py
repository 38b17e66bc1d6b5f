"""A whole batch against a real server: ten thousand items, others answered meanwhile, a kill -9 in
between and the repeat that completes it.

What a batch may hold, and what is answered to it, is `tests/service/web/test_batch`'s matter.
"""

import http.client
import json
import threading
from pathlib import Path
from typing import Any

from tests.support.server import Server, serving

KEY = {"Idempotency-Key": "import-17"}
LINES = {"Content-Type": "application/x-ndjson"}


def emails(number: int) -> list[dict[str, str]]:
    return [{"to": f"reader-{n}@example.com", "subject": "News"} for n in range(number)]


def created(data: Path) -> list[str]:
    """Who is written to, by the log's own lines."""
    lines = (data / "log/000000000001.jsonl").read_bytes().splitlines()
    events = [json.loads(line) for line in lines]
    return [e["private"]["payload"]["to"] for e in events if e["type"] == "JobCreated"]


def test_ten_thousand_items_are_durable_when_the_answer_comes(tmp_path: Path) -> None:
    items = emails(10_000)
    with serving(tmp_path / "data", "--no-worker") as server:
        body = "\n".join(map(json.dumps, items)).encode()
        answer = server.ask("POST", "/jobs/email/batch", body, LINES)
        server.kill()
    assert answer.status == 202
    assert len(set(answer.json["ids"])) == len(items)
    assert created(tmp_path / "data") == [item["to"] for item in items]


class Posting(threading.Thread):
    """Posts a batch, to a server that may not live to answer."""

    def __init__(self, server: Server, items: Any) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._items = items

    def run(self) -> None:
        try:
            self._server.ask("POST", "/jobs/email/batch", self._items, KEY)
        except (OSError, http.client.HTTPException):
            return


def test_a_repeat_after_a_kill_in_between_completes_it_without_a_duplicate(tmp_path: Path) -> None:
    """Killed the moment the log grows: item 0 is there, and of the others nobody can say."""
    items = emails(2_000)
    data = tmp_path / "data"
    for _ in range(3):
        with serving(data, "--no-worker") as server:
            segment = data / "log/000000000001.jsonl"
            size = segment.stat().st_size
            posting = Posting(server, items)
            posting.start()
            while segment.stat().st_size == size and posting.is_alive():
                pass
            server.kill()
            posting.join(30)
    with serving(data, "--no-worker") as server:
        first = server.ask("POST", "/jobs/email/batch", items, KEY)
        again = server.ask("POST", "/jobs/email/batch", items, KEY)
        other = server.ask("POST", "/jobs/email/batch", items[:-1], KEY)
    assert (first.status, again.status, other.status) == (202, 202, 422)
    assert again.body == first.body
    assert again.headers["idempotency-replayed"] == "true"
    assert sorted(created(data)) == sorted(item["to"] for item in items)
