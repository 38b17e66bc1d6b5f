"""Bugs that somebody could make, planted in a real server to see that the trials find them.

A process loads one of them with its processors (`near`), for the rest of its life; each is what a
wrong line in one place would do. What finds which is in `test_trials_bite`.
"""

import errno
import os
import threading
from collections.abc import Callable
from typing import Any

from eventstore.errors import OutcomeUnknown
from eventstore.file import recovery, reserve
from eventstore.file.disk import SystemDisk
from eventstore.file.writer import Writer
from projections import job as jobs_fold
from projections.job import TRANSITIONS, Status
from service import commands, jobs
from service.rescue import Rescue

BUGS: dict[str, Callable[[], None]] = {}


def plant(name: str | None) -> None:
    """Make this mistake; none without a name."""
    if name is not None:
        BUGS[name]()


def bug(mistake: Callable[[], None]) -> Callable[[], None]:
    """A mistake is known by its function's name, with blanks."""
    BUGS[mistake.__name__.replace("_", " ")] = mistake
    return mistake


@bug
def writes_are_gathered_for_a_while() -> None:
    honest = Writer._write_synced
    kept = bytearray()

    def gathering(self: Writer, data: bytes) -> None:
        kept.extend(data)
        if len(kept) > 8_000:
            honest(self, bytes(kept))
            kept.clear()

    Writer._write_synced = gathering
    Writer._require_untouched = lambda _: None


@bug
def the_sync_is_left_to_a_timer() -> None:
    honest = SystemDisk.datasync

    def later(self: SystemDisk, handle: int) -> None:
        threading.Timer(1.0, _quietly, [lambda: honest(self, handle)]).start()

    SystemDisk.datasync = later


@bug
def nothing_is_synced() -> None:
    SystemDisk.datasync = lambda *_: None


@bug
def a_failed_sync_is_tried_again() -> None:
    honest = SystemDisk.datasync

    def stubborn(self: SystemDisk, handle: int) -> None:
        try:
            honest(self, handle)
        except OSError:
            honest(self, handle)

    SystemDisk.datasync = stubborn


@bug
def a_failed_sync_is_taken_for_a_full_disk() -> None:
    def mild(self: Writer) -> None:
        try:
            self._disk.datasync(self._handle)
        except OSError as error:
            raise OSError(errno.ENOSPC, "no room") from error

    Writer._sync = mild


@bug
def a_failed_sync_poisons_nothing() -> None:
    def forgiving(self: Writer, reason: str) -> OutcomeUnknown:
        self._size = self._disk.size(self._handle)
        return OutcomeUnknown(reason)

    Writer._poison = forgiving


@bug
def a_failed_write_is_not_cut_back() -> None:
    def careless(self: Writer, end: Any) -> None:
        self._size, self.head = self._disk.size(self._handle), end.head

    Writer._go_back = careless


@bug
def there_is_no_reserve() -> None:
    reserve.give_up = lambda *_: False


@bug
def a_torn_tail_is_not_cut() -> None:
    honest = recovery._valid_end

    def trusting(disk: Any, log_id: str, reader: Any, first: int, *, sealed: bool) -> Any:
        end = honest(disk, log_id, reader, first, sealed=sealed)
        data = recovery.read_whole(disk, reader.path(first))
        found = recovery.Recovered(first, len(data), end.recovered.lines)
        return recovery._End(found, data, [])

    recovery._valid_end = trusting


@bug
def a_key_means_another_job_after_a_restart() -> None:
    honest = jobs.keyed_job_id
    jobs.keyed_job_id = lambda *names: honest(*names, str(os.getpid()))


@bug
def a_lost_attempt_counts_twice() -> None:
    honest = jobs_fold._attempt_failed

    def twice(job: Any, event: Any, data: Any) -> Any:
        after = honest(job, event, data)
        more = data["reason"] in jobs_fold.CRASHES
        return jobs_fold.replace(after, crashes=after.crashes + more)

    _transition(Status.PROCESSING, "AttemptFailed", twice)


@bug
def a_completion_is_recorded_twice() -> None:
    honest = commands.complete
    commands.complete = lambda *job, **given: 2 * honest(*job, **given)
    _transition(Status.COMPLETED, "JobCompleted", jobs_fold._held)


@bug
def a_lease_never_ends() -> None:
    Rescue._missed = lambda *_, **__: None


@bug
def nobody_is_fenced() -> None:
    commands._require_running = lambda *_, **__: None
    _transition(Status.COMPLETED, "JobCompleted", jobs_fold._held)


def _transition(status: Status, type_: str, step: Any) -> None:
    TRANSITIONS[status, type_] = step  # type: ignore[index]


def _quietly(call: Callable[[], None]) -> None:
    try:
        call()
    except OSError:
        return
