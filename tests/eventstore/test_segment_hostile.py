"""Reading a segment's bytes when they are hostile: what somebody might do to them, and no disk does
(of damage at rest `test_damage.py` is the measure). Pure: bytes in, verdict out.
"""

import pytest

from eventstore.event import NEW, NewEvent, prepare, recorded
from eventstore.file import segment
from eventstore.file.segment import closed, good_line, good_lines, scan

AT = "2026-11-23T12:00:00.000000Z"
SEED = 7
MANY_DIGITS = b"9" * 5_000  # more than int() takes


def line(pos: int, framing: bytes = b"") -> bytes:
    append = prepare("s", NEW, [NewEvent("Noted", AT, {})], nonce="1f")
    [event] = recorded(append, pos=pos, time=AT)
    return closed(event.line[:-1] + framing, SEED)


def test_a_commit_of_thousands_of_digits_is_none() -> None:
    found = good_line(line(1, b',"commit":' + MANY_DIGITS), offset=0, seed=SEED)
    assert found is not None
    assert found.commit == 1


def test_a_position_of_thousands_of_digits_is_a_bad_line_like_any_other() -> None:
    data = b'{"pos":' + MANY_DIGITS + b",\n"
    fault = scan(data, first=1, seed=SEED, sealed=False).fault
    assert fault is not None
    assert fault.found == "the checksum of position 1 does not hold"


def test_what_follows_damage_is_gone_over_in_time_that_grows_with_its_length(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A beginning of a line after the other, and no end: each could be one, and none is long."""
    looked_at = 0

    def counting(raw: bytes, seed: int) -> bool:
        nonlocal looked_at
        looked_at += len(raw)
        return False

    monkeypatch.setattr(segment, "checksum_holds", counting)
    worked = []
    for size in (200_000, 400_000, 800_000):
        looked_at = 0
        assert list(good_lines(b'{"pos":1,' * (size // 9), seed=SEED)) == []
        worked.append(looked_at)
    assert worked[0] > 0
    assert max(worked) < 1.01 * min(worked)


def test_a_line_of_the_greatest_length_is_found_behind_damage() -> None:
    spare = segment._LINE_BYTES_MAX - len(line(2, b',"commit":2'))
    longest = line(2, b',"x":"%b","commit":2' % (b"x" * (spare - len(b',"x":""'))))
    assert len(longest) == segment._LINE_BYTES_MAX
    for ended in (b"", b"\n"):
        found = list(good_lines(b"rotten\n" + longest + ended, seed=SEED))
        assert [each.event.pos for each in found] == [2]
