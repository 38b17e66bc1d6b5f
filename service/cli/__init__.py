"""The command line: `joblog COMMAND`, for people at a terminal and for scripts.

Data goes to stdout, everything else to stderr. On a terminal data is a table, in a pipe it is JSON
lines, and `--json` forces those; see `group` for the exit codes. Commands that change something ask
a running server; those that look at jobs do too, or read the files when none runs; `tail`, `replay`
and `verify` always read the files, and never write.

Made with click, which uvicorn brings along anyway, and the commands' modules are loaded when run;
measured: starting ten commands takes argparse 38 ms, click 67 and typer 268 (median of 21), and
`joblog --version` 109, of which 37 are the imports of `service/__init__`, and 120 less than a web
server would add.
"""

import click

from service.cli.group import Commands, Entry
from service.version import VERSION

COMMANDS = {
    "serve": Entry("service.cli.serve", "serve_jobs", "Take jobs over HTTP and run them."),
    "worker": Entry("service.cli.worker", "run_worker", "Run a server's jobs on this machine."),
    "enqueue": Entry(
        "service.cli.enqueue", "enqueue_jobs", "Give the server a job to do, or many."
    ),
    "show": Entry("service.cli.jobs", "show_job", "Show a job, as it is or as it was."),
    "list": Entry("service.cli.jobs", "list_jobs", "List jobs, the newest first."),
    "history": Entry("service.cli.jobs", "show_history", "Show all that happened to a job."),
    "cancel": Entry("service.cli.change", "cancel_job", "Cancel a job, even one that runs."),
    "retry": Entry("service.cli.change", "retry_job", "Try a failed or cancelled job again."),
    "kinds": Entry("service.cli.kinds", "list_kinds", "List the kinds of jobs."),
    "pause": Entry("service.cli.kinds", "pause_kind", "Start no more jobs of a kind."),
    "resume": Entry("service.cli.kinds", "resume_kind", "Start jobs of a kind again."),
    "limit": Entry("service.cli.kinds", "limit_kind", "Limit how many jobs of a kind start."),
    "token": Entry("service.cli.token", "make_token", "Make a secret for a client."),
    "tail": Entry("service.cli.tail", "tail_log", "Show the log, or its end."),
    "replay": Entry("service.cli.replay", "replay_log", "Compute all jobs anew from the log."),
    "verify": Entry("service.cli.verify", "verify_log", "Check every line of the log."),
    "bench": Entry("service.cli.bench", "measure_all", "Measure joblog on this machine."),
}

EPILOG = """\b
Every option can be given as a variable: --data as JOBLOG_DATA, and so on.
Exit codes: 0 done, 1 the answer is no, 2 usage, 3 the log is damaged.
"""


@click.command(cls=Commands, entries=COMMANDS, epilog=EPILOG)
@click.version_option(VERSION, prog_name="joblog", message="%(prog)s %(version)s")
def cli() -> None:
    """Background jobs whose every state change is on the record."""


def main() -> None:
    """The console script."""
    cli(prog_name="joblog")
