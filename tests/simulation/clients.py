"""The clients: they post, ask, cancel, retry, pause and limit, all at the same few jobs and keys.

What a client is told goes into the `Diary`, where the checker finds it. Some of it is checked at
once: no answer may be a fault of ours (500), nothing may be told that is not durable, who asks with
a position is not told of an older state, and the same key gets the same answer, whoever dies in
between.

Who gets no answer, or one that says nobody knows, asks again if that is safe.
"""

import asyncio
from collections.abc import Mapping
from random import Random
from typing import Any, Final, NamedTuple

import orjson

from tests.simulation.faults import Faults
from tests.simulation.loop import Node, SeededLoop
from tests.simulation.network import Answer, Network, NoAnswer, Unreachable
from tests.simulation.storage import Ground
from tests.simulation.work import KINDS, PLAIN_STEPS, STEPS

NOT_RECORDED: Final = {
    "not-allowed", "precondition-failed", "idempotency-key-reused", "invalid", "intake-closed",
    "not-written", "not-found", "store-failed", "stopping",
}  # fmt: skip
DEEDS: Final = {
    "post": 10, "post with a key": 8, "batch": 2, "cancel": 5, "retry": 5, "get": 6, "wait": 2,
    "pause": 1, "resume": 3, "limit": 1, "act": 1, "list": 1,
}  # fmt: skip
ACTIONS: Final = (("cancel", "pending"), ("retry", "failed"), ("retry", "cancelled"))


class Told(NamedTuple):
    """What somebody was told of a job."""

    job_id: str
    rev: int
    status: str
    attempts: int


class Diary:
    """What all clients were told."""

    def __init__(self) -> None:
        self.told: set[Told] = set()
        self.keys: dict[tuple[str, str], tuple[bytes, bytes]] = {}  # kind, key -> body, answer
        self.keyed: dict[str, tuple[str, str, int]] = {}  # request -> kind, key, jobs at most
        self.batches: dict[tuple[str, str], list[str]] = {}
        self.jobs: dict[str, str] = {}  # all ids that anybody was told of -> kind
        self.refused: set[str] = set()  # requests that recorded nothing
        self.requests = 0
        self.broken: list[str] = []


class Client:
    """See the module."""

    def __init__(
        self,
        name: str,
        loop: SeededLoop,
        network: Network,
        ground: Ground,
        diary: Diary,
        faults: Faults,
        dice: Random,
    ) -> None:
        self._node = Node(name)
        self._loop = loop
        self._network = network
        self._ground = ground
        self._diary = diary
        self._faults = faults
        self._dice = dice
        self._seen: dict[str, int] = {}  # job -> revision
        self._position = 0
        self._asked = 0

    @property
    def node(self) -> Node:
        """Where it runs."""
        return self._node

    async def run(self, deeds: int, within_s: float) -> None:
        """Do so much, in about so much time, while there is somebody to ask."""
        for _ in range(deeds):
            await asyncio.sleep(self._dice.expovariate(deeds / within_s))
            await self._network.listening.wait()
            [deed] = self._dice.choices(list(DEEDS), list(DEEDS.values()))
            await getattr(self, f"_{deed.replace(' ', '_')}")()

    async def ask(
        self, method: str, target: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answer | None:
        """What the server answers; None when that does not come."""
        request = self._next_request()
        self._asked += 1
        self._diary.requests += 1
        try:
            answer = await self._network.ask(
                self._node, method, target, body, {"x-request-id": request, **(headers or {})}
            )
        except (Unreachable, NoAnswer):
            return None
        self._look_at(answer, request, f"{method} {target}")
        return answer

    def _next_request(self) -> str:
        return f"{self._node.name}-{self._asked}"

    def _look_at(self, answer: Answer, request: str, what: str) -> None:
        """What must hold for every answer."""
        broken = self._diary.broken
        if answer.status_code == 500 or (answer.status_code == 404 and "/jobs/" in what):
            broken.append(f"{what} was answered {answer.status_code}: {answer.body!r}")
        if answer.status_code >= 400:
            if answer.problem in NOT_RECORDED:
                self._diary.refused.add(request)
            return
        position = int(answer.headers.get("log-position", 0))
        if position > self._ground.head():
            broken.append(f"{what} told of position {position}, which is not durable")
        self._position = max(self._position, position)
        if answer.body.startswith(b'{"id"'):
            self._note(answer.json(), what)

    def _note(self, job: dict[str, Any], what: str) -> None:
        told = Told(job["id"], job["rev"], job["status"], job["attempts"])
        self._diary.told.add(told)
        self._diary.jobs[told.job_id] = job["kind"]
        if what.startswith("GET") and told.rev < self._seen.get(told.job_id, 0):
            self._diary.broken.append(f"{what} told of {told}, and before of a newer one")
        if "replayed" not in what:
            self._seen[told.job_id] = max(self._seen.get(told.job_id, 0), told.rev)

    async def _post(self) -> None:
        await self.ask("POST", self._target(self._kind()), self._payload(self._last_kind))

    async def _post_with_a_key(self) -> None:
        """Again and again, until there is an answer; whoever asks with this key."""
        kind, key = self._kind(), f"k{self._dice.randrange(5)}"
        body = orjson.dumps(self._payload(kind, Random(f"{kind}{key}{self._dice.random() < 0.1}")))
        while not self._faults.calm:
            self._diary.keyed[self._next_request()] = kind, key, 1
            answer = await self.ask("POST", f"/jobs/{kind}", body, {"idempotency-key": key})
            if answer is not None and answer.status_code < 500:
                self._require_same(kind, key, body, answer)
                return
            await asyncio.sleep(self._dice.uniform(0.1, 3))

    def _require_same(self, kind: str, key: str, body: bytes, answer: Answer) -> None:
        known = self._diary.keys.get((kind, key))
        which, broken = f"key {key} of {kind}", self._diary.broken
        if answer.status_code == 422:
            if known and known[0] == body:
                broken.append(f"{which} was refused to its own request: {answer.body!r}")
        elif known is None:
            self._diary.keys[kind, key] = body, answer.body
        elif known[0] != body:
            broken.append(f"{which} was given to two requests")
        elif known[1] != answer.body:
            broken.append(f"{which} was answered {known[1]!r}, and then {answer.body!r}")

    async def _batch(self) -> None:
        kind, key = self._dice.choice(("work", "plain", "far")), f"b{self._dice.randrange(3)}"
        rng = Random(f"{kind}{key}")
        items = [self._payload(kind, rng) for _ in range(rng.randint(2, 3))]
        body = orjson.dumps(items)
        while not self._faults.calm:
            self._diary.keyed[self._next_request()] = kind, key, len(items)
            answer = await self.ask("POST", f"/jobs/{kind}/batch", body, {"idempotency-key": key})
            if answer is not None and answer.status_code == 202:
                ids = answer.json()["ids"]
                self._diary.jobs.update(dict.fromkeys(ids, kind))
                if self._diary.batches.setdefault((kind, key), ids) != ids:
                    self._diary.broken.append(f"batch {key} of {kind} became other jobs")
                return
            await asyncio.sleep(self._dice.uniform(0.1, 3))

    async def _cancel(self) -> None:
        await self._command("cancel")

    async def _retry(self) -> None:
        await self._command("retry")

    async def _command(self, command: str) -> None:
        job_id = self._job()
        if job_id is None:
            return
        rev = self._seen.get(job_id) if self._dice.random() < 0.3 else None
        headers = {} if rev is None else {"if-match": f'"{rev}"'}
        answer = await self.ask("POST", f"/jobs/{job_id}/{command}", None, headers)
        done = answer is not None and answer.status_code < 300
        if rev is not None and done and answer.json()["rev"] not in (rev, rev + 1):
            self._diary.broken.append(f"{command} at {rev} only came to {answer.body!r}")

    async def _get(self) -> None:
        if job_id := self._job():
            await self.ask("GET", f"/jobs/{job_id}?min_position={self._position}")

    async def _wait(self) -> None:
        if job_id := self._job():
            await self.ask("GET", f"/jobs/{job_id}", None, {"prefer": "wait=5"})

    async def _list(self) -> None:
        answer = await self.ask("GET", "/jobs?limit=5")
        if answer is not None and answer.status_code == 200:
            for job in answer.json()["jobs"]:
                told = Told(job["id"], job["rev"], job["status"], job["attempts"])
                self._diary.told.add(told)

    async def _pause(self) -> None:
        await self.ask("POST", f"/kinds/{self._kind()}/pause")

    async def _resume(self) -> None:
        await self.ask("POST", f"/kinds/{self._kind()}/resume")

    async def _limit(self) -> None:
        concurrency = self._dice.choice((None, 1, 2))
        rate = self._dice.choice((None, {"count": 2, "per_s": 2.0}, {"count": 1, "per_s": 0.5}))
        limits = {"concurrency": concurrency, "rate": rate}
        await self.ask("PUT", f"/kinds/{self._kind()}/limits", limits)

    async def _act(self) -> None:
        what, status = self._dice.choice(ACTIONS)
        wanted = {"kind": self._kind(), "status": status}
        await self.ask("POST", "/actions", {"action": what, "filter": wanted})

    def _kind(self) -> str:
        self._last_kind = self._dice.choices(KINDS, (6, 2, 2, 1))[0]
        return self._last_kind

    def _job(self) -> str | None:
        """One of those that anybody knows of, rather a new one."""
        known = list(self._diary.jobs)[-8:]
        return self._dice.choice(known) if known else None

    def _payload(self, kind: str, dice: Random | None = None) -> Any:
        dice = dice or self._dice
        if kind == "email":
            return {"to": "a@example.com", "subject": "Hi", "body": f"{dice.randrange(99)}"}
        steps = PLAIN_STEPS if kind == "plain" else STEPS
        misbehaves = "a processor misbehaves" in self._faults.on
        plan = [dice.choice(steps) if misbehaves else "ok 0.2" for _ in range(dice.randint(1, 4))]
        return {"plan": plan, "number": dice.randrange(1000)}

    def _target(self, kind: str) -> str:
        options = {}
        if self._dice.random() < 0.3:
            options["delay"] = self._dice.choice((1, 5, 30))
        if self._dice.random() < 0.3:
            options["max_attempts"] = self._dice.choice((1, 2, 5))
        if self._dice.random() < 0.3:
            options["timeout"] = self._dice.choice((2, 8))
        if self._dice.random() < 0.2:
            options["priority"] = self._dice.randint(-2, 2)
        query = "&".join(f"{name}={value}" for name, value in options.items())
        if self._dice.random() < 0.15:
            later = self._loop.wall_in(options.get("delay", 0) + self._dice.choice((2, 20)))
            query += f"&expires_at={later}"
        return f"/jobs/{kind}?{query}"
