"""The options of whoever runs jobs that are about e-mail, and the settings that they make.

A password is no option: it would stand in the list of processes and in the shell's history. It is
read from a file, or from JOBLOG_SMTP_PASSWORD.
"""

import os
from pathlib import Path
from typing import Any, get_args

import click

from service.cli.options import Command, Seconds, option, several, text_of
from service.settings import EmailSettings, EmailTransport, SmtpTls

PASSWORD = "JOBLOG_SMTP_PASSWORD"  # noqa: S105  the name of a variable

_DEFAULT = EmailSettings()
_OPTIONS = [
    option(
        "--email-transport", type=click.Choice(get_args(EmailTransport)),
        default=_DEFAULT.transport, help="What carries e-mail: nothing, a mail server, files.",
    ),
    option("--email-from", metavar="ADDRESS", help="Who sends when a message does not say."),
    option(
        "--email-message-id-domain", metavar="DOMAIN",
        help="Of Message-IDs; else the sender's.",
    ),
    option(
        "--email-on-unknown", type=click.Choice(["retry", "hold", "fail"]),
        default=_DEFAULT.on_unknown, help="When nobody knows whether a message was sent.",
    ),
    option(
        "--email-directory", metavar="DIR", default=_DEFAULT.directory,
        help="Where the file transport writes.",
    ),
    option(
        "--email-failure-rate", type=click.FloatRange(0, 1), default=_DEFAULT.failure_rate,
        help="The share of simulated attempts that fail.",
    ),
    option(
        "--email-latency", metavar="SECONDS", type=Seconds(0),
        default=_DEFAULT.latency_s, help="How long a simulated attempt takes.",
    ),
    option(
        "--smtp-host", metavar="NAME", default=_DEFAULT.smtp_host, help="The mail server.",
    ),
    option(
        "--smtp-port", type=click.IntRange(1, 65535),
        help="587 for starttls, 465 for implicit, 25 for none, unless given.",
    ),
    option(
        "--smtp-tls", type=click.Choice(get_args(SmtpTls)), default=_DEFAULT.smtp_tls,
        help="How the line is encrypted; certificates are checked.",
    ),
    option(
        "--smtp-username", metavar="NAME",
        help=f"To log in as; the password is in ${PASSWORD} or a file.",
    ),
    option(
        "--smtp-password-file", metavar="FILE", type=click.Path(path_type=Path),
        help="Its first line is the password.",
    ),
    option(
        "--smtp-connections", type=click.IntRange(1), default=_DEFAULT.smtp_connections,
        help="To the mail server, at a time.",
    ),
    option(
        "--smtp-connect-timeout", metavar="SECONDS", type=Seconds(0, min_open=True),
        default=_DEFAULT.smtp_connect_s, help="For a connection, and for its greeting.",
    ),
    option(
        "--smtp-command-timeout", metavar="SECONDS", type=Seconds(0, min_open=True),
        default=_DEFAULT.smtp_command_s, help="For the answer to a command.",
    ),
    option(
        "--smtp-answer-timeout", metavar="SECONDS", type=Seconds(0, min_open=True),
        default=_DEFAULT.smtp_answer_s, help="For the answer to a message, once it is out.",
    ),
]  # fmt: skip


def email_options(command: Command) -> Command:
    """Give a command the options."""
    return several(command, _OPTIONS)


def email_settings(given: dict[str, Any]) -> EmailSettings:
    """What they say."""
    return EmailSettings(
        transport=given["email_transport"],
        sender=given["email_from"],
        message_id_domain=given["email_message_id_domain"],
        on_unknown=given["email_on_unknown"],
        directory=given["email_directory"],
        failure_rate=given["email_failure_rate"],
        latency_s=given["email_latency"],
        smtp_host=given["smtp_host"],
        smtp_port=given["smtp_port"],
        smtp_tls=given["smtp_tls"],
        smtp_username=given["smtp_username"],
        smtp_password=_password(given["smtp_password_file"]),
        smtp_connections=given["smtp_connections"],
        smtp_connect_s=given["smtp_connect_timeout"],
        smtp_command_s=given["smtp_command_timeout"],
        smtp_answer_s=given["smtp_answer_timeout"],
    )


def _password(file: Path | None) -> str | None:
    if file is None:
        return os.environ.get(PASSWORD)
    return text_of("--smtp-password-file", file).partition("\n")[0].rstrip("\r")
