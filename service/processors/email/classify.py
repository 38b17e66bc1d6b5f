"""What an answer of a mail server, or the lack of one, means for the message: one pure table.

`classify(phase, code=…, enhanced=…, trouble=…)` goes down `CASES` and takes the first row that
fits. A row names the phases, the reply codes and the enhanced codes (RFC 3463) that it is about,
`?` for any digit and `*` for anything, or the kinds of trouble when there was no answer; then what
it means:

| outcome     | what it says |
|-------------|--------------|
| `sent`      | the server has taken it; what becomes of it is the server's to see to |
| `transient` | not now; another attempt may do, after `wait_s` where that is known |
| `permanent` | another attempt would end the same way |
| `unknown`   | it may have been taken: the line was lost between the message and the answer |
| `config`    | no message of anybody's will be taken until somebody changes the settings |

and whom it is about: this `recipient`, the `message`, or the `host`. What is done about it is
`smtp`'s; nothing here waits, sends or remembers.
"""

from fnmatch import fnmatchcase
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

Phase: TypeAlias = Literal[
    "connect",  # the name, the line, TLS from the start, the banner
    "ehlo",
    "starttls",
    "auth",
    "rset",
    "mail",
    "rcpt",
    "data",  # until the server asks for the message
    "end",  # from the message on: nobody knows what the server got, until it answers
]
Trouble: TypeAlias = Literal["unreachable", "tls", "timeout", "dropped", "garbled", "unsupported"]
Outcome: TypeAlias = Literal["sent", "transient", "permanent", "unknown", "config"]
Scope: TypeAlias = Literal["recipient", "message", "host"]

PHASES: Final[tuple[Phase, ...]] = get_args(Phase)
TROUBLES: Final[tuple[Trouble, ...]] = get_args(Trouble)
GREYLISTED_S: Final = 300.0  # who greylists wants to see some minutes pass; 5 to 15 are usual


class Verdict(NamedTuple):
    """What it means, and for whom."""

    outcome: Outcome
    scope: Scope
    wait_s: float | None = None


class Case(NamedTuple):
    """One row. Empty `enhanced`: with any, or none. `why` is for who reads the table."""

    phases: str
    codes: str  # reply codes, or kinds of trouble
    enhanced: str
    verdict: Verdict
    why: str


_SENT = Verdict("sent", "message")
_HOST_LATER = Verdict("transient", "host")
_HOST_CONFIG = Verdict("config", "host")
_MESSAGE_LATER = Verdict("transient", "message")
_MESSAGE_NEVER = Verdict("permanent", "message")
_RECIPIENT_LATER = Verdict("transient", "recipient")
_RECIPIENT_NEVER = Verdict("permanent", "recipient")
_GREYLISTED = Verdict("transient", "recipient", GREYLISTED_S)
_UNKNOWN = Verdict("unknown", "message")

_NONE = "[a-z]*"  # whatever the trouble
_SENDING = "mail rcpt data end"

# fmt: off
CASES: Final = (
    # No answer.
    Case("end", _NONE, "", _UNKNOWN,
         "The message is out: RFC 1047's window, in which it may have been taken."),
    Case("starttls auth", "unsupported", "", _HOST_CONFIG,
         "The server does not offer what the settings ask for."),
    Case("mail", "unsupported", "", _MESSAGE_NEVER,
         "An address needs SMTPUTF8, which the server does not have."),
    Case("*", _NONE, "", _HOST_LATER,
         "Name, line, TLS or time failed before the message was out: no risk of a second copy."),
    # Taken.
    Case("end", "2??", "", _SENT,
         "From here on the message is the server's."),
    Case("data", "2??", "", _HOST_LATER,
         "DATA is answered by 354; the server is out of step."),
    Case("*", "2??", "", _SENT,
         "This step was taken."),
    # The connection, before there is a message.
    Case("*", "421", "", _HOST_LATER,
         "The server is closing, whatever was asked of it."),
    Case("connect ehlo starttls rset", "[45]??", "", _HOST_LATER,
         "A server that refuses everybody is broken; the job is not."),
    Case("auth", "4??", "", _HOST_LATER,
         "The login could not be checked just now."),
    Case("auth", "5??", "", _HOST_CONFIG,
         "The login was refused, as that of every other job will be."),
    # The message: what is nobody's fault, or the settings'.
    Case(_SENDING, "530 534 535 538", "", _HOST_CONFIG,
         "The server wants a login, a better one, or TLS first."),
    Case(_SENDING, "454 455", "", _HOST_LATER,
         "Something on the server is out of order for now."),
    Case("rcpt", "452 552", "?.5.3", _RECIPIENT_LATER,
         "Too many recipients at a time: the rest come with the next attempt."),
    # 4yz.
    Case("rcpt", "4??", "5.*", _RECIPIENT_NEVER,
         "Where the digits differ the enhanced one is meant."),
    Case("mail data end", "4??", "5.*", _MESSAGE_NEVER,
         "As above."),
    Case(_SENDING, "4??", "4.7.*", _GREYLISTED,
         "Greylisting, or a limit on how much we send: soon is too soon."),
    Case(_SENDING, "451", "4.3.* 4.4.*", _HOST_LATER,
         "The mail system, or its way onward, is out of order."),
    Case(_SENDING, "452", "4.3.1", _HOST_LATER,
         "The server's disk is full."),
    Case(_SENDING, "450 452", "4.2.*", _RECIPIENT_LATER,
         "The mailbox is locked, or full for now."),
    Case("rcpt", "4??", "", _RECIPIENT_LATER,
         "By the first digit."),
    Case("mail data end", "4??", "", _MESSAGE_LATER,
         "By the first digit."),
    # 5yz; one that comes with 4.x.x is a bug of the server's, and its basic code is believed.
    Case("mail", "5??", "", _MESSAGE_NEVER,
         "Whatever it says, it is about the sender or the message, for all recipients."),
    Case(_SENDING, "550", "5.1.1 5.1.2 5.1.10", _RECIPIENT_NEVER,
         "No such mailbox, no such domain, or one that takes no mail."),
    Case(_SENDING, "553", "5.1.3", _RECIPIENT_NEVER,
         "The server does not take this for an address."),
    Case(_SENDING, "552", "5.2.2", _RECIPIENT_NEVER,
         "The mailbox is full, and the server does not expect that to pass."),
    Case(_SENDING, "5??", "5.3.4", _MESSAGE_NEVER,
         "Too big; also 523."),
    Case(_SENDING, "5??", "5.6.*", _MESSAGE_NEVER,
         "The content is not acceptable."),
    Case(_SENDING, "5??", "5.7.*", _MESSAGE_NEVER,
         "Policy: spam, DMARC, relaying. To try that again by itself would make it worse."),
    Case("rcpt", "5??", "", _RECIPIENT_NEVER,
         "By the first digit."),
    Case("data end", "5??", "", _MESSAGE_NEVER,
         "By the first digit."),
)
# fmt: on


def classify(
    phase: Phase,
    *,
    code: int | None = None,
    enhanced: str | None = None,
    trouble: Trouble | None = None,
) -> Verdict:
    """What it means: an answer of 2yz, 4yz or 5yz, or else the trouble instead of one."""
    return case_of(phase, code=code, enhanced=enhanced, trouble=trouble).verdict


def case_of(
    phase: Phase,
    *,
    code: int | None = None,
    enhanced: str | None = None,
    trouble: Trouble | None = None,
) -> Case:
    """The row that decides."""
    assert (code is None) != (trouble is None), "an answer, or the lack of one"
    answer = str(code) if trouble is None else trouble
    for case in CASES:
        if (
            _fits(phase, case.phases)
            and _fits(answer, case.codes)
            and (not case.enhanced or _fits(enhanced or "", case.enhanced))
        ):
            return case
    raise AssertionError(f"no case for {phase} {answer}")


def _fits(text: str, patterns: str) -> bool:
    return any(fnmatchcase(text, pattern) for pattern in patterns.split(" "))
