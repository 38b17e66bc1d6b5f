"""The server's own log lines: what goes wrong, on stderr, as text or as JSON.

Not the event log: these lines are for operators, may be thrown away, and hold no facts about jobs
that the event log does not. Whatever they quote is made harmless first, so that nobody can forge a
line of them.
"""

import logging
import sys
from datetime import UTC, datetime

import orjson

from eventstore.timestamp import timestamp
from service.cli.plain import plain


class TextFormatter(logging.Formatter):
    """`12:00:01 WARNING joblog.log: …`, in UTC, tracebacks below."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        time = _time(record)[11:19]
        line = f"{time} {record.levelname} {record.name}: {plain(record.getMessage())}"
        return line if record.exc_info is None else f"{line}\n{self._traceback(record)}"

    def _traceback(self, record: logging.LogRecord) -> str:
        assert record.exc_info is not None
        return "\n".join(map(plain, self.formatException(record.exc_info).split("\n")))


class JsonFormatter(logging.Formatter):
    """One object a line: time, level, logger, message, and the traceback where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        line = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info is not None:
            line["traceback"] = self.formatException(record.exc_info)
        return orjson.dumps(line).decode()


def log_to_stderr(form: str) -> None:
    """Ours from INFO on, everybody else's from WARNING on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("joblog").setLevel(logging.INFO)


def _time(record: logging.LogRecord) -> str:
    return timestamp(datetime.fromtimestamp(record.created, UTC))
