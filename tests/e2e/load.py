"""Clients of a server that is killed under them: they ask for all it promises, and remember.

Each runs in a thread and goes on from one life of the server to the next. A request that broke off
is asked again in the next life if it has an idempotency key, as README advises, and forgotten if
not. What was answered goes to the `Promises`; what may not have been answered (a job that is gone,
a 500) is an AssertionError, which `Load.stop` raises.
"""

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from random import Random
from typing import Any

from tests.support.promises import Asked, Promises
from tests.support.server import Answer

ANSWER_S = 20
BROKEN = (OSError, http.client.HTTPException)


class Away(Exception):
    """The server has gone, or answers that it cannot; it may have done what was asked."""


class Address:
    """Where the server is, and whether it is up. `lives` counts how often it came up."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._changed = threading.Condition()
        self._lives = 0
        self._up = False
        self._over = False
        self._answered = 0

    @property
    def is_over(self) -> bool:
        """Whether no client is to go on."""
        return self._over

    def up(self) -> None:
        """It answers."""
        with self._changed:
            self._lives, self._up = self._lives + 1, True
            self._changed.notify_all()

    def down(self) -> None:
        """It is gone, or about to be."""
        with self._changed:
            self._up = False
            self._changed.notify_all()

    def end(self) -> None:
        """Clients shall stop."""
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def life(self, after: int = 0) -> int:
        """The number of the server's life once it is up, in a later one than `after`; 0 when all is
        over.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._over or (self._up and self._lives > after))
            return 0 if self._over else self._lives

    def answered(self) -> None:
        """It promised something."""
        with self._changed:
            self._answered += 1
            self._changed.notify_all()

    def after_promises(self, number: int, *, within_s: float) -> bool:
        """Return once it made so many more promises; whether it did in time."""
        with self._changed:
            wanted = self._answered + number
            return self._changed.wait_for(lambda: self._over or self._answered >= wanted, within_s)


class Connection:
    """One client's connection, made again when it broke."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._http: http.client.HTTPConnection | None = None

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """An answer that says something. Raises Away."""
        answer = self.ask_whatever(method, path, body, **headers)
        if answer.status == http.client.SERVICE_UNAVAILABLE:
            raise Away
        return answer

    def ask_whatever(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """An answer, a 503 too. Raises Away when there is none."""
        if self._http is None:
            self._http = http.client.HTTPConnection(
                "127.0.0.1", self._address.port, timeout=ANSWER_S
            )
        data = None if body is None else json.dumps(body)
        sent = {"Content-Type": "application/json"} if data is not None else {}
        try:
            self._http.request(method, path, data, sent | headers)
            response = self._http.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            answer = Answer(response.status, found, response.read())
        except BROKEN as error:
            self.close()
            raise Away from error
        assert answer.status < 500 or answer.status == 503, f"{method} {path}: {answer}"
        return answer

    def close(self) -> None:
        if self._http is not None:
            self._http.close()
            self._http = None


class _Worker(threading.Thread):
    """Does one thing after another until all is over; keeps the error that ended it."""

    def __init__(self, address: Address, promises: Promises, dice: Random) -> None:
        super().__init__(daemon=True)
        self._address = address
        self._promises = promises
        self._dice = dice
        self._connection = Connection(address)
        self.error: BaseException | None = None

    def run(self) -> None:
        life = self._address.life()
        try:
            while life and not self._address.is_over:
                try:
                    self.do_one()
                except Away:
                    life = self._address.life(after=life)
        except BaseException as error:  # noqa: BLE001  told in `Load.stop`
            self.error = error
            self._address.end()
        finally:
            self._connection.close()

    def do_one(self) -> None:
        raise NotImplementedError


class Client(_Worker):
    """Posts jobs of all kinds, one by one and in batches, cancels some, asks again."""

    _numbers = count()

    def __init__(self, address: Address, promises: Promises, dice: Random, *, far: bool) -> None:
        super().__init__(address, promises, dice)
        self._kinds = ("near", "email", "far") if far else ("near", "email")
        self._open: Asked | None = None  # was not answered, and has a key: asked again
        self._mine: list[str] = []

    def do_one(self) -> None:
        if self._open is not None:
            self._post(self._open)
            return
        chosen = self._dice.random()
        if chosen < 0.5 or not self._mine:
            self._post(self._new())
        elif chosen < 0.65:
            self._post_without_key()
        elif chosen < 0.75:
            self._repeat()
        elif chosen < 0.9:
            self._cancel(self._dice.choice(self._mine[-5:]))
        else:
            self._read(self._dice.choice(self._mine))

    def _new(self) -> Asked:
        kind = self._dice.choice(self._kinds)
        key = f"k{next(self._numbers)}"
        if self._dice.random() < 0.15:
            items = [self._item(kind, f"{key}-{n}") for n in range(self._dice.randint(2, 10))]
            return Asked(f"/jobs/{kind}/batch", items, key)
        return Asked(f"/jobs/{kind}", self._item(kind, key), key)

    def _item(self, kind: str, tag: str) -> dict[str, Any]:
        if kind == "email":
            return {"to": "ada@example.com", "subject": tag}
        ends = self._dice.choice(({}, {}, {}, {"fails": 1}, {"fails": 3}, {"refuse": True}))
        return {"tag": tag, "takes_s": self._dice.choice((0, 0, 0.01, 0.1)), **ends}

    def _post(self, asked: Asked) -> None:
        self._open = asked
        answer = self._connection.ask(
            "POST", asked.path, asked.body, **{"Idempotency-Key": asked.key}
        )
        assert answer.status == 202, f"{asked}: {answer}"
        self._open = None
        self._made(asked.tags, answer, asked)

    def _post_without_key(self) -> None:
        tag = f"u{next(self._numbers)}"
        answer = self._connection.ask("POST", "/jobs/near", {"tag": tag})
        assert answer.status == 202, answer
        self._made([tag], answer)

    def _made(self, tags: list[str], answer: Answer, asked: Asked | None = None) -> None:
        self._promises.made(tags, answer, asked)
        self._mine += answer.json["ids"] if "ids" in answer.json else [answer.json["id"]]
        self._address.answered()

    def _repeat(self) -> None:
        known = self._promises.answers
        if known:
            asked, first = self._dice.choice(known)
            repeat_one(self._connection, self._promises, asked, first)

    def _cancel(self, job_id: str) -> None:
        answer = self._connection.ask("POST", f"/jobs/{job_id}/cancel")
        assert answer.status in {200, 202, 409}, answer
        if answer.status != 409:
            self._promises.cancelled(job_id, answer)
            self._address.answered()

    def _read(self, job_id: str) -> None:
        answer = self._connection.ask("GET", f"/jobs/{job_id}")
        assert answer.status == 200, f"{job_id} was promised: {answer}"


class Hand(_Worker):
    """A remote worker whose every word is remembered; it never renews, and says all things twice
    when it was not answered.
    """

    def do_one(self) -> None:
        wanted = {"kinds": ["far"], "worker": "hand", "wait": 1, "max": 2}
        answer = self._connection.ask("POST", "/claims", wanted)
        assert answer.status in {200, 204}, answer
        for claim in answer.json["claims"] if answer.status == 200 else []:
            self._end(claim["job"]["id"], claim["token"])

    def _end(self, job_id: str, token: int) -> None:
        done = self._dice.random() < 0.7
        said: dict[str, Any] = {"token": token}
        said |= {"result": {"by": "hand"}} if done else {"error": {"class": "Slip"}}
        path = f"/claims/{job_id}/{'complete' if done else 'fail'}"
        answer = self._say(path, said)
        if answer is None:
            return
        assert answer.status in {200, 409}, answer
        if answer.status == 200:
            self._promises.ended(job_id, token, "JobCompleted" if done else "AttemptFailed")
            self._address.answered()
        else:
            self._promises.refused(job_id, token)

    def _say(self, path: str, said: dict[str, Any]) -> Answer | None:
        """Again in the next life when there is no answer; None when all is over."""
        life = self._address.life()
        while life:
            try:
                return self._connection.ask("POST", path, said)
            except Away:
                life = self._address.life(after=life)
        return None


def repeat_one(connection: Connection, promises: Promises, asked: Asked, first: Answer) -> None:
    """Ask what was asked with this key before. Raises Away."""
    again = connection.ask("POST", asked.path, asked.body, **{"Idempotency-Key": asked.key})
    promises.require_repeated(asked, first, again)


@contextmanager
def load(
    address: Address, promises: Promises, dice: Random, *, clients: int, hands: int = 0
) -> Iterator[None]:
    """Clients for the length of a `with`; what one of them found is raised at its end."""
    far = hands > 0
    workers: list[_Worker] = [
        *(Client(address, promises, Random(dice.random()), far=far) for _ in range(clients)),
        *(Hand(address, promises, Random(dice.random())) for _ in range(hands)),
    ]
    for each in workers:
        each.start()
    try:
        yield
    finally:
        address.end()
        for each in workers:
            each.join(2 * ANSWER_S)
    for each in workers:
        if each.error is not None:
            raise each.error
