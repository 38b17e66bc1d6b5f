"""The store's half of a verification: all damage is found, at its place, and torn is not damaged.

Each test hurts a sound log in one way, or in two, and looks at what is said. What lines mean is
tested in `test_verify_events`, and the command in `test_verify`.
"""

from pathlib import Path
from random import Random

import pytest

from eventstore.file.segment import Line
from eventstore.file.verify import Problem, verify
from service.cli.files import ReadOnlyDisk
from tests.service.cli.logs import STORY, alter, flip, hurt, lines_of, segment, write_log
from tests.support.build import job_created

EVENTS = 1 + sum(len(events) for _, events in STORY)
SMALL = 4  # events a segment


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_log(tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def segmented(tmp_path: Path) -> Path:
    write_log(tmp_path / "data", segment_events=SMALL)
    return tmp_path / "data"


def checked(root: Path, segment_events: int = 65_536) -> tuple[list[Problem], list[int]]:
    """Problems and notes, and the positions of the lines that are handed on."""
    found = list(verify(ReadOnlyDisk(), str(root), segment_events=segment_events))
    problems = [each for each in found if isinstance(each, Problem)]
    return problems, [each.event.pos for each in found if isinstance(each, Line)]


def said(root: Path, segment_events: int = 65_536) -> list[tuple[int, str]]:
    """Line and words of what is no note."""
    problems, _ = checked(root, segment_events)
    return [(each.line, each.found) for each in problems if not each.is_note]


def test_a_sound_log_has_no_problems_and_all_its_lines_are_handed_on(root: Path) -> None:
    assert checked(root) == ([], [*range(1, EVENTS + 1)])


def test_so_has_one_of_many_segments(segmented: Path) -> None:
    assert len(list((segmented / "log").iterdir())) == 3
    assert checked(segmented, SMALL) == ([], [*range(1, EVENTS + 1)])


@pytest.mark.parametrize("line", range(1, EVENTS))
def test_a_flipped_bit_is_found_where_it_is_and_nothing_else(root: Path, line: int) -> None:
    start = flip(segment(root), line)
    problems, good = checked(root)
    first = problems[0]
    assert (first.file, first.line, first.byte) == (str(segment(root)), line, start)
    assert "checksum of position" in first.found
    assert all(each.gap_in for each in problems[1:])  # whose next line is left without it
    assert good == [pos for pos in range(1, EVENTS + 1) if pos != line]


def test_all_damage_is_found_not_only_the_first(segmented: Path) -> None:
    flip(segment(segmented, 1, SMALL), 2)
    flip(segment(segmented, 1, SMALL), 4)
    flip(segment(segmented, 5, SMALL), 3)
    problems, good = checked(segmented, SMALL)
    bad = [(Path(each.file).name, each.line) for each in problems if "checksum" in each.found]
    assert bad == [("000000000001.jsonl", 2), ("000000000001.jsonl", 4), ("000000000005.jsonl", 3)]
    assert good == [1, 3, 5, 6, 8, 9, 10, 11]


def test_a_tail_cut_anywhere_is_a_note(root: Path) -> None:
    path = segment(root)
    whole = path.read_bytes()
    start = whole.rindex(b"\n", 0, -1) + 1
    for cut in range(start + 1, len(whole)):
        path.write_bytes(whole[:cut])
        problems, good = checked(root)
        assert [(each.line, each.byte, each.is_note) for each in problems] == [
            (EVENTS, start, True)
        ]
        assert f"the last {cut - start} bytes were never acknowledged" in problems[0].found
        assert good[-1] == EVENTS - 1
    path.write_bytes(whole[:start])
    assert checked(root) == ([], [*range(1, EVENTS)])


def test_zeros_at_the_end_are_a_note(root: Path) -> None:
    path = segment(root)
    path.write_bytes(path.read_bytes() + bytes(4096))
    problems, good = checked(root)
    assert [each.is_note for each in problems] == [True]
    assert good[-1] == EVENTS


def test_the_last_commit_may_be_torn_in_any_order(tmp_path: Path) -> None:
    root = tmp_path / "data"
    story = [*STORY, ("many", [job_created(9), job_created(9), job_created(9)])]
    write_log(root, story)
    flip(segment(root), EVENTS + 2)  # its second line is bad, the third is there
    problems, good = checked(root)
    assert [(each.line, each.is_note) for each in problems] == [(EVENTS + 1, True)]
    assert good[-1] == EVENTS


def test_an_append_that_lacks_its_end_is_a_note_and_not_handed_on(tmp_path: Path) -> None:
    root = tmp_path / "data"
    write_log(root, [*STORY, ("two", [job_created(9), job_created(9)])])
    hurt(segment(root), lambda lines: lines.pop())
    problems, good = checked(root)
    assert [(each.line, each.is_note) for each in problems] == [(EVENTS + 1, True)]
    assert good[-1] == EVENTS


def test_so_is_one_that_lacks_what_was_to_be_in_the_next_segment(tmp_path: Path) -> None:
    root = tmp_path / "data"
    write_log(root, [*STORY, ("two", [job_created(9), job_created(9)])], segment_events=EVENTS + 1)
    segment(root, EVENTS + 2, EVENTS + 1).write_bytes(b"")
    problems, good = checked(root, EVENTS + 1)
    assert [(Path(each.file).name, each.line, each.is_note) for each in problems] == [
        ("000000000001.jsonl", EVENTS + 1, True)
    ]
    assert good[-1] == EVENTS


def test_in_an_older_segment_nothing_is_torn(segmented: Path) -> None:
    path = segment(segmented, 5, SMALL)
    path.write_bytes(path.read_bytes()[:-20])
    problems, _ = checked(segmented, SMALL)
    assert (problems[0].line, problems[0].is_note) == (4, False)
    assert problems[0].found == "position 8 has no end of line"


def test_a_segment_that_ends_early_is_found(segmented: Path) -> None:
    hurt(segment(segmented, 1, SMALL), lambda lines: lines.pop())
    assert said(segmented, SMALL)[0] == (4, "the segment ends early, after 3 of 4 lines")


def test_a_missing_segment_is_found(segmented: Path) -> None:
    segment(segmented, 5, SMALL).unlink()
    problems, good = checked(segmented, SMALL)
    assert (problems[0].file, problems[0].found) == (
        f"{segmented}/log/000000000005.jsonl",
        "the segment is missing",
    )
    assert good == [1, 2, 3, 4, 9, 10, 11]


def test_names_that_are_no_segments_are_told(segmented: Path) -> None:
    (segmented / "log" / "000000000003.jsonl").write_bytes(b"")
    (segmented / "log" / "000000000009.jsonl.new").write_bytes(b"x")
    problems, good = checked(segmented, SMALL)
    assert [(each.found, each.is_note) for each in problems] == [
        ("no segment begins at position 3; this was not read", False),
        ("this is no segment and was not read", True),
    ]
    assert good[-1] == EVENTS


def test_a_removed_line_is_a_missing_position(root: Path) -> None:
    hurt(segment(root), lambda lines: lines.pop(1))
    assert said(root)[0] == (2, "position 2 is missing before position 3")


def test_removed_lines_are_missing_positions(root: Path) -> None:
    hurt(segment(root), lambda lines: [lines.pop(1), lines.pop(1)])
    assert said(root)[0] == (2, "positions 2 to 3 are missing before position 4")


def test_a_line_that_stands_twice_is_found_once(root: Path) -> None:
    hurt(segment(root), lambda lines: lines.insert(5, lines[2]))
    assert said(root) == [(6, "position 3 stands after position 5")]


def test_lines_that_changed_places_are_found(root: Path) -> None:
    hurt(segment(root), lambda lines: lines.insert(2, lines.pop(3)))
    assert said(root)[0] == (3, "position 3 is missing before position 4")
    assert (4, "position 3 stands after position 4") in said(root)


def test_a_lost_line_end_costs_two_lines_and_no_more(root: Path) -> None:
    hurt(segment(root), lambda lines: lines.insert(3, lines.pop(3)[:-1]))
    _, good = checked(root)
    assert good == [pos for pos in range(1, EVENTS + 1) if pos not in (4, 5)]


def test_an_inserted_line_end_costs_one_line_and_no_more(root: Path) -> None:
    hurt(segment(root), lambda lines: lines.insert(3, lines.pop(3).replace(b",", b"\n", 1)))
    problems, good = checked(root)
    assert [each.line for each in problems if not each.gap_in] == [4, 5]
    assert good == [pos for pos in range(1, EVENTS + 1) if pos != 4]


def test_a_line_of_another_log_is_found(root: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    write_log(other, STORY[:-1])
    (other / "log-id").write_text("0" * 32)
    alter(other, 3, b"report", b"report")  # sealed anew, for that log
    foreign = lines_of(other)[2]
    hurt(segment(root), lambda lines: lines.__setitem__(2, foreign + b"\n"))
    assert said(root)[0] == (3, "the checksum of position 3 does not hold")


def test_a_segment_in_anothers_place_is_found(segmented: Path) -> None:
    segment(segmented, 1, SMALL).replace(segment(segmented, 5, SMALL))
    assert len([1 for _, found in said(segmented, SMALL) if "it calls itself" in found]) == 4


@pytest.mark.parametrize(
    ("pos", "old", "new", "found"),
    [
        (2, b'"rev":1', b'"rev":2', "revision 2 of stream"),
        (4, b"12:00:02", b"11:59:02", "time goes back from"),
        (4, b'"n":"0000000000000003"', b'"n":"3"', "does not say which append it came in"),
        (4, b'"v":1', b'"v": 1', "is not written in the form of a line"),
        (4, b'"time":"2026-11-23T12:00:02.000000Z"', b'"time":"2026-11-23T12:00:02Z"', "the form"),
        (7, b',"more":true', b"", ""),
        (8, b',"commit":7', b',"commit":6', "cannot be of a commit that began at 6"),
        (8, b',"commit":7', b',"commit":9', "cannot be of a commit that began at 9"),
        (6, b'5"}', b'5"},"more":true', "the append that began at position 6 lacks its end"),
        (3, b'"pos":3', b'"pos":33', "positions 3 to 32 are missing before position 33"),
        (1, b'"log_id"', b'"log-id"', "position 1 is not the opening of log"),
        (1, b"LogOpened", b"LogOpenedd", "position 1 is not the opening of log"),
    ],
)
def test_what_only_a_fault_of_ours_could_write_is_found(
    root: Path, pos: int, old: bytes, new: bytes, found: str
) -> None:
    alter(root, pos, old, new)
    if found:
        assert any(found in words for _, words in said(root)), said(root)
    else:
        assert said(root) == []  # which append a line came in is told by its nonce too


def test_a_checksum_over_what_is_no_event_is_found(root: Path) -> None:
    alter(root, 3, b'"rev":1', b'"rev":x')
    assert said(root)[0] == (3, "position 3 is not an event, though its checksum holds")


def test_a_line_that_is_too_long_is_found(root: Path) -> None:
    alter(root, 2, b"ada@", b"a" * 66_000 + b"@")
    assert any("bytes of 65535" in found for _, found in said(root))


def test_a_gap_in_a_stream_names_it(root: Path) -> None:
    flip(segment(root), 4)
    problems, _ = checked(root)
    assert [each.gap_in for each in problems if each.gap_in] == [STORY[0][0]]


def test_another_log_id_is_one_problem_and_not_one_a_line(root: Path) -> None:
    (root / "log-id").write_text("0" * 32 + "\n")
    problems, good = checked(root)
    assert [(each.file, each.found[:7]) for each in problems] == [(f"{root}/log-id", "it says")]
    assert good[-1] == EVENTS


@pytest.mark.parametrize("content", [None, b"", b"rubbish\n", b"\xff\n"])
def test_so_is_a_log_id_that_is_missing_or_none(root: Path, content: bytes | None) -> None:
    (root / "log-id").unlink()
    if content is not None:
        (root / "log-id").write_bytes(content)
    problems, good = checked(root)
    assert [each.file for each in problems] == [f"{root}/log-id"]
    assert good[-1] == EVENTS


def test_no_log_is_no_file_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(verify(ReadOnlyDisk(), str(tmp_path)))


def test_an_empty_log_beside_caches_has_lost_everything(root: Path) -> None:
    segment(root).unlink()
    assert "the log is empty beside" in said(root)[0][1]


def test_whatever_bytes_change_it_is_found_and_nothing_breaks(tmp_path: Path) -> None:
    root = tmp_path / "data"
    write_log(root, segment_events=SMALL)
    dice = Random(11)
    paths = [segment(root, pos, SMALL) for pos in (1, 5, 9)]
    for _ in range(150):
        path = dice.choice(paths)
        sound = path.read_bytes()
        data = bytearray(sound)
        for _ in range(dice.randrange(1, 4)):
            where = dice.randrange(len(data))
            if dice.random() < 0.5:
                data[where] = dice.randrange(256)
            else:
                del data[where : where + dice.randrange(1, 600)]
        path.write_bytes(data)
        problems, _ = checked(root, SMALL)
        assert bool(problems) or _ends_sooner(data, sound, path == paths[-1]), data
        path.write_bytes(sound)


def _ends_sooner(data: bytes, sound: bytes, newest: bool) -> bool:
    """Unchanged; or the newest segment without its last commits, which no checksum can show."""
    return data == sound or (newest and sound.startswith(data))


def test_an_end_that_was_acknowledged_is_not_torn_but_damaged(tmp_path: Path) -> None:
    root = tmp_path / "data"
    write_log(root)
    path = segment(root)
    path.write_bytes(path.read_bytes()[:-5])
    for seen, is_note in ((EVENTS - 1, True), (EVENTS, False), (EVENTS + 1, False)):
        found = verify(ReadOnlyDisk(), str(root), acknowledged=seen)
        [problem] = [each for each in found if isinstance(each, Problem)]
        assert (problem.line, problem.is_note) == (EVENTS, is_note)
