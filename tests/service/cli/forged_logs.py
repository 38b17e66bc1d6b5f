"""Logs that no disk and no joblog makes: lines changed by lot and their checksums made right again,
for the commands that read files. A part of the level `hostile lines`
(`tests/eventstore/hostile_lines.py`).

Whatever is in such a log, `verify`, `tail` and `replay` end with one of their exit codes and one
line on stderr, never with a traceback; and where `replay` gives up, `verify` says why.
"""

from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Final
from unittest.mock import patch

from eventstore.file.segment import CRC_TAIL_BYTES, closed, seed_of
from tests.service.cli.logs import forget, lines_of, segment, write_log
from tests.service.cli.runner import joblog
from tests.support.mutation import mutated

COMMANDS: Final = (
    ("verify",),
    ("replay", "--digest"),
    ("tail", "--after", "0"),
    ("tail", "--last", "50"),  # as on a terminal
)
CODES: Final = {0, 1, 2, 3}  # see service/cli/group.py
DAMAGED: Final = 3


def forged_logs(dice: Random, commands: int) -> int:
    """Run so many commands on logs with one or two forged lines. Raises AssertionError."""
    with TemporaryDirectory() as made:
        root = Path(made)
        seed = seed_of(write_log(root), 1)
        forget(root)
        bodies = [line[:-CRC_TAIL_BYTES] for line in lines_of(root)]
        for _ in range(commands // len(COMMANDS)):
            changed = list(bodies)
            for _ in range(dice.randint(1, 2)):
                at = dice.randrange(len(changed))
                changed[at] = mutated(dice, changed[at], bodies)
            data = b"".join(closed(body, seed) + b"\n" for body in changed)
            segment(root).write_bytes(data)
            codes = {command[0]: _code(root, command, data) for command in COMMANDS}
            assert codes["replay"] != DAMAGED or codes["verify"] == DAMAGED, data
    return commands


def _code(root: Path, command: tuple[str, ...], data: bytes) -> int:
    with patch("service.cli.output.on_terminal", lambda: "--last" in command):
        result = joblog(*command, "--data", root)
    unforeseen = isinstance(result.exception, Exception)
    assert not unforeseen, f"joblog {' '.join(command)}: {result.exception!r} of {data!r}"
    assert result.exit_code in CODES, (command, result.exit_code, data)
    assert "Traceback" not in result.output, (command, data)
    return result.exit_code
