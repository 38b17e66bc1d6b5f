"""`cancel` and `retry`: asking a running server to change the course of a job.

They need a server, because only the process that holds the log's lock may write it. What is
permitted in which state is decided there; a refusal is exit code 1 with the server's reason.
"""

import click

from service.cli.client import connect, job_path
from service.cli.jobs import print_jobs
from service.cli.options import command, json_too, option, server_or_files
from service.cli.place import Place


@command(
    "cancel",
    'joblog cancel 0199c2f4-… --reason "the customer asked for it"',
)
@click.argument("job_id", metavar="ID")
@option("--reason", metavar="TEXT", help="Why; it is recorded.")
@server_or_files
@json_too
def cancel_job(*, place: Place, job_id: str, reason: str | None, as_json: bool) -> None:
    """Cancel a job, even one that runs.

    A running attempt is asked to stop; it is abandoned if it does not, and a job that completes all
    the same has completed.
    """
    _change(place, job_id, "cancel", reason, as_json=as_json)


@command(
    "retry",
    "joblog retry 0199c2f4-…",
)
@click.argument("job_id", metavar="ID")
@option("--reason", metavar="TEXT", help="Why; it is recorded.")
@server_or_files
@json_too
def retry_job(*, place: Place, job_id: str, reason: str | None, as_json: bool) -> None:
    """Try a failed or cancelled job again.

    A job that is held, or waits for its next attempt, is tried now.
    """
    _change(place, job_id, "retry", reason, as_json=as_json)


def _change(place: Place, job_id: str, what: str, reason: str | None, *, as_json: bool) -> None:
    body = {"reason": reason} if reason else {}
    answer = connect(place.require_server()).post(job_path(job_id, what), body)
    print_jobs([answer.json()], as_json=as_json)
