"""The simulation itself: the same seed is the same story, in any process and in any directory; and
there is trouble in it. What it finds is shown in `test_planted`.
"""

import gc
import os
import subprocess
import sys
from pathlib import Path

from tests.simulation.world import World, bury, live

ROOT = Path(__file__).parents[2]
SEEDS = (3, 5)


def digests() -> list[str]:
    try:
        return [live(seed).digest for seed in SEEDS]
    finally:
        bury()


def digests_in_a_process(root: Path, hash_seed: str, nowhere: Path) -> tuple[str, ...]:
    process = subprocess.run(
        [sys.executable, "-m", "tests.simulation.test_simulation"],
        cwd=nowhere,  # else joblog is found here first, whatever the path says
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(root)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return tuple(process.stdout.split())


def test_the_same_seed_writes_the_same_log_to_the_byte_in_any_process_and_place(
    tmp_path: Path,
) -> None:
    """Where joblog lies is in its tracebacks, and those are in the log."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.symlink_to(ROOT)
    found = digests_in_a_process(ROOT, "1", tmp_path)
    assert found == digests_in_a_process(elsewhere, "2", tmp_path)
    assert len(set(found)) == len(SEEDS)


def test_of_a_buried_world_nothing_is_left() -> None:
    """What is left would die within another test, and be taken for a mistake of that one."""
    digests()
    assert [each for each in gc.get_objects() if isinstance(each, World)] == []


if __name__ == "__main__":
    print(*digests())  # noqa: T201  to the test above
