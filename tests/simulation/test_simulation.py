"""The simulation itself: the same seed is the same story, in any process; and there is trouble in
it. What it finds is shown in `test_planted`.
"""

import os
import subprocess
import sys
from pathlib import Path

from tests.simulation.world import bury, live

ROOT = Path(__file__).parents[2]
SEEDS = (3, 8)


def digests() -> list[str]:
    try:
        return [live(seed).digest for seed in SEEDS]
    finally:
        bury()


def test_the_same_seed_writes_the_same_log_to_the_byte_in_any_process() -> None:
    found = {tuple(digests())}
    for hash_seed in ("1", "2"):
        process = subprocess.run(
            [sys.executable, "-m", "tests.simulation.test_simulation"],
            cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        found.add(tuple(process.stdout.split()))
    assert len(found) == 1
    assert len(set(*found)) == len(SEEDS)


if __name__ == "__main__":
    print(*digests())  # noqa: T201  to the test above
