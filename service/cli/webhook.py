"""The options of whoever runs jobs that are about webhooks, and the settings that they make.

A secret is no option: it would stand in the list of processes and in the shell's history. Secrets
are read from a file, one a line, or from JOBLOG_WEBHOOK_SECRETS, separated by spaces.
"""

import os
from pathlib import Path
from typing import Any

import click

from service.cli.options import Command, Seconds, option, several, text_of
from service.settings import WebhookSettings

SECRETS = "JOBLOG_WEBHOOK_SECRETS"

_DEFAULT = WebhookSettings()
_OPTIONS = [
    option(
        "--webhook-secret-file", metavar="FILE", type=click.Path(path_type=Path),
        help=f"Secrets, one a line (or ${SECRETS}); each signs.",
    ),
    option(
        "--webhook-allow", metavar="CIDR", multiple=True,
        help="A network that is not public, for webhooks to reach; may be given again.",
    ),
    option(
        "--webhook-timeout", metavar="SECONDS", type=Seconds(0, min_open=True),
        default=_DEFAULT.timeout_s, help="For a delivery, from the look-up to the answer.",
    ),
]  # fmt: skip


def webhook_options(command: Command) -> Command:
    """Give a command the options."""
    return several(command, _OPTIONS)


def webhook_settings(given: dict[str, Any]) -> WebhookSettings:
    """What they say."""
    return WebhookSettings(
        secrets=_secrets(given["webhook_secret_file"]),
        allow=given["webhook_allow"],
        timeout_s=given["webhook_timeout"],
    )


def _secrets(file: Path | None) -> tuple[str, ...]:
    if file is None:
        return tuple(os.environ.get(SECRETS, "").split())
    return tuple(text_of("--webhook-secret-file", file).split())
