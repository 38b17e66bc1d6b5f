"""The transport and the sender that the settings ask for.

Whatever in the settings cannot work is refused here, with the name of what must change, before a
job is taken: a directory for no file transport is no harm, a password over a line that everybody
can read is.
"""

import ssl
from ipaddress import ip_address

from service.processors.email import SENDER, Stationery
from service.processors.email.file import FileTransport
from service.processors.email.mailbox import parse_mailbox
from service.processors.email.session import Server
from service.processors.email.simulated import SimulatedTransport
from service.processors.email.smtp import SmtpTransport
from service.processors.email.transport import Transport
from service.settings import EmailSettings

PORTS = {"starttls": 587, "implicit": 465, "none": 25}


def transport_of(settings: EmailSettings, *, seed: int) -> Transport:
    """The transport, not yet connected to anything. Raises ValueError."""
    match settings.transport:
        case "smtp":
            return SmtpTransport(
                _server(settings),
                on_unknown=settings.on_unknown,
                connections_max=settings.smtp_connections,
            )
        case "file":
            return FileTransport(settings.directory)
        case "simulated":
            return SimulatedTransport(
                seed=seed, failure_rate=settings.failure_rate, latency_s=settings.latency_s
            )


def stationery_of(settings: EmailSettings) -> Stationery:
    """Who sends. Over SMTP only who was named does. Raises ValueError."""
    sender = settings.sender
    if sender is not None:
        parse_mailbox(sender)
    elif settings.transport != "smtp":
        sender = SENDER
    domain = settings.message_id_domain
    if domain is not None:
        parse_mailbox(f"joblog@{domain}")
    return Stationery(sender, domain)


def _server(settings: EmailSettings) -> Server:
    plain = settings.smtp_tls == "none"
    if settings.smtp_username is not None:
        if settings.smtp_password is None:
            raise ValueError("--smtp-username needs a password: --smtp-password-file")
        if plain and not _is_loopback(settings.smtp_host):
            raise ValueError(
                f"a password would go to {settings.smtp_host} in the clear: --smtp-tls"
            )
    return Server(
        host=settings.smtp_host,
        port=settings.smtp_port or PORTS[settings.smtp_tls],
        tls=settings.smtp_tls,
        username=settings.smtp_username,
        password=settings.smtp_password or "",
        connect_s=settings.smtp_connect_s,
        command_s=settings.smtp_command_s,
        answer_s=settings.smtp_answer_s,
        tls_context=None if plain else ssl.create_default_context(),
    )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
