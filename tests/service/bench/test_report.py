"""The report, of made-up figures: a missed target is marked, units are told, and the document says
what the lines say.
"""

from service.bench.measured import Measured
from service.bench.report import Report, figure

MACHINE = {
    "cpu": "some processor",
    "cores": 2,
    "system": "Linux 6",
    "filesystem": "ext4",
    "sync_p50_ms": 0.25,
    "sync_p99_ms": 0.5,
    "versions": {"joblog": "1", "python": "3.11"},
}
INTAKE = Measured(
    190, 1000, {"p50_ms": 4.0, "commits_per_s": 1234.0, "bytes_per_job": 700.0}, ("beware",)
)
MEMORY = Measured(60, 40)
LISTS = Measured(12.345, None, {"common_word_ms": 12.345})


def report(**measured: Measured) -> Report:
    return Report(MACHINE, 50_000, 12.34, measured, ["a warning for all"])


def test_a_row_that_misses_its_target_is_marked_and_others_are_not() -> None:
    lines = list(report(intake=INTAKE, memory=MEMORY).lines())
    [intake] = [line for line in lines if line.startswith("intake")]
    [memory] = [line for line in lines if line.startswith("memory")]
    assert "MISSED" in intake
    assert "MISSED" not in memory


def test_a_line_has_both_figures_the_score_and_what_belongs_to_it() -> None:
    [line] = [line for line in report(intake=INTAKE).lines() if line.startswith("intake")]
    assert " ".join(line.split()) == (
        "intake 190 requests/s 1,000 requests/s 0.19 >= 0.2 MISSED >= 0.8 1,234 700 p50 4 ms"
    )


def test_what_comes_on_top_is_told_with_its_sign() -> None:
    [line] = [line for line in report(memory=MEMORY).lines() if line.startswith("memory")]
    assert " ".join(line.split()) == "memory 60 MiB 40 MiB +20 <= +24 MiB"


def test_the_lines_begin_with_the_machine_and_end_in_warnings() -> None:
    lines = list(report(intake=INTAKE).lines())
    assert lines[0] == "machine   2 cores of some processor, Linux 6"
    assert lines[1] == "disk      ext4; append and sync: p50 0.25 ms, p99 0.5 ms"
    assert lines[2] == "software  joblog 1, python 3.11"
    assert lines[-2:] == ["warning: a warning for all", "warning: intake: beware"]


def test_columns_are_aligned() -> None:
    lines = list(report(intake=INTAKE, lists=LISTS).lines())
    header, intake, lists = lines[lines.index("") + 1 :][:3]
    assert header.index("score") + len("score") == intake.index("0.19") + len("0.19")
    assert header.index("more") == intake.index("p50") == lists.index("common word 12.3 ms")


def test_the_document_has_units_in_its_names() -> None:
    document = report(intake=INTAKE, memory=MEMORY, lists=LISTS).document()
    assert document["machine"] == MACHINE
    assert (document["jobs"], document["took_s"]) == (50_000, 12.3)
    assert document["warnings"] == ["a warning for all", "intake: beware"]
    assert document["rows"] == [
        {
            "name": "intake",
            "measured_requests_per_s": 190.0,
            "floor_requests_per_s": 1000.0,
            "ratio": 0.19,
            "target_min": 0.2,
            "holds": False,
            "aim_min": 0.8,
            "p50_ms": 4.0,
            "commits_per_s": 1234.0,
            "bytes_per_job": 700.0,
        },
        {
            "name": "memory",
            "measured_mib": 60.0,
            "floor_mib": 40.0,
            "score_mib": 20.0,
            "target_max_mib": 24,
            "holds": True,
        },
        {
            "name": "lists",
            "measured_ms": 12.35,
            "score_ms": 12.35,
            "target_max_ms": 50,
            "holds": True,
            "common_word_ms": 12.35,
        },
    ]


def test_a_figure_has_three_digits_or_all_before_the_point() -> None:
    figures = [0.0012345, 1.2345, 99.94, 100, 1234.5, 16384]
    assert [figure(value) for value in figures] == [
        "0.00123", "1.23", "99.9", "100", "1,234", "16,384",
    ]  # fmt: skip
