"""`joblog tail`: the end of the log, all of it, some of it, and what is appended.

Following needs a log that grows under a reader's eyes; the growing is the test's own, in the same
thread: each look at the files is a turn.
"""

from pathlib import Path

import pytest

from service.cli import tail
from tests.service.cli.logs import DONE, STORY, alter, flip, forget, lines_of, segment, write_log
from tests.service.cli.runner import at_a_terminal, joblog, refused, succeed
from tests.support.build import at

END = 1 + sum(len(events) for _, events in STORY)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_log(tmp_path / "data")
    return tmp_path / "data"


def tailed(root: Path, *args: object) -> list[bytes]:
    return succeed("tail", *args, "--data", root).encode().splitlines()


def test_in_a_pipe_it_is_the_raw_lines(root: Path) -> None:
    assert tailed(root, "--after", 0) == lines_of(root)
    assert tailed(root) == lines_of(root)


def test_after_a_position(root: Path) -> None:
    assert tailed(root, "--after", 9) == lines_of(root)[9:]
    assert tailed(root, "--after", END) == []
    assert tailed(root, "--after", 99) == []


def test_the_last_few(root: Path) -> None:
    assert tailed(root, "--last", 2) == lines_of(root)[-2:]
    assert tailed(root, "-n", 0) == []


def test_of_a_type_and_of_a_stream(root: Path) -> None:
    lines = lines_of(root)
    assert tailed(root, "--type", "JobFailed") == [lines[7]]
    assert tailed(root, "--type", "JobFailed", "--type", "LogOpened") == [lines[0], lines[7]]
    assert tailed(root, "--stream", DONE, "-n", 1) == [lines[5]]
    assert tailed(root, "--stream", DONE, "--type", "JobCreated", "--after", 0) == [lines[1]]
    assert tailed(root, "--stream", "log", "--after", 1) == []


def test_for_people_an_event_is_a_line_of_words(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_a_terminal(monkeypatch)
    lines = succeed("tail", "--data", root).splitlines()
    assert len(lines) == END
    assert lines[0].split()[:4] == ["1", at(0), "LogOpened", "log"]
    assert lines[6].endswith(r"ValueError: no\x1b[2J luck")


def test_damage_ends_it_with_the_place_after_what_was_sound(root: Path) -> None:
    flip(segment(root), 3)
    assert "line 3" in refused(3, "tail", "--data", root)


class Interrupt:
    """Stands in for waiting: appends a line at each turn, then interrupts."""

    def __init__(self, path: Path, *parts: bytes) -> None:
        self._path = path
        self._parts = list(parts)

    def wait(self, _: float) -> None:
        if not self._parts:
            raise KeyboardInterrupt
        with self._path.open("ab") as file:
            file.write(self._parts.pop(0))


def test_following_shows_whole_appends_as_they_come(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [line + b"\n" for line in lines_of(root)]
    path = segment(root)
    path.write_bytes(b"".join(lines[:5]))
    forget(root)
    parts = [lines[5], lines[6], lines[7][:30], lines[7][30:], lines[8] + lines[9]]
    waiting = Interrupt(path, *parts)
    monkeypatch.setattr(tail.threading, "Event", lambda: waiting)
    result = joblog("tail", "--follow", "-n", 1, "--data", root)
    assert result.stdout.encode() == b"".join(lines[4:10])
    assert result.exit_code == 130
    assert "Traceback" not in result.output


def test_following_one_type(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [line + b"\n" for line in lines_of(root)]
    segment(root).write_bytes(b"".join(lines[:5]))
    forget(root)
    waiting = Interrupt(segment(root), b"".join(lines[5:8]), b"".join(lines[8:]))
    monkeypatch.setattr(tail.threading, "Event", lambda: waiting)
    result = joblog("tail", "--follow", "--type", "JobFailed", "--data", root)
    assert result.stdout.encode() == lines[7]


def test_data_of_an_unknown_type_may_hold_any_integer(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alter(root, 2, b'"JobCreated","v":1', b'"JobAdmired","v":1')
    alter(root, 2, b'"priority":0', b'"priority":%d' % 2**70)
    at_a_terminal(monkeypatch)
    assert str(2**70) in succeed("tail", "--data", root)
