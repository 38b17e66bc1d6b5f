"""Every header and every parameter in a path that the API has, each described once.

`Operation`s name them, and the document refers to these descriptions as components. A name that is
not here fails the start, so that none goes undescribed. Schemas are exact where we refuse what does
not fit; what is read leniently (`Prefer`, say) is any string here too.

Reading headers is `headers`' matter.
"""

from typing import Any, Final, NamedTuple

from eventstore.event import STREAM
from service.processors import KIND
from service.web.headers import KEY_CHARACTERS_MAX, WAIT_S_MAX

JOB_ID = "01a20bc5-9325-75a2-b450-d27742b0db04"  # of all examples
REQUEST_ID = "7f3a9c0e5d1b2846"

_TAGS = r'^(\*|(W/)?"[!#-~]*"(, *(W/)?"[!#-~]*")*)$'


class Field(NamedTuple):
    """A parameter or a header. `always`: an answer that may have this header does have it."""

    about: str
    schema: dict[str, Any]
    example: str | int
    always: bool = False


PATH: Final = {
    "id": Field("The job's id.", {"type": "string", "pattern": f"^{STREAM.pattern}$"}, JOB_ID),
    "kind": Field("A kind.", {"type": "string", "pattern": f"^{KIND.pattern}$"}, "email"),
    "name": Field("The end of a problem's `type`.", {"type": "string"}, "not-found"),
}

REQUEST: Final = {
    "X-Request-Id": Field(
        "Names this request in the answer, in the log's events and in the server's log: 1 to 128"
        " of `A-Z a-z 0-9 . _ -`. Without one, or with another, the server draws one.",
        {"type": "string"},
        REQUEST_ID,
    ),
    "Idempotency-Key": Field(
        "Makes the request safe to repeat: the same key with the same request is the same job, and"
        " gets the first answer again. Printable ASCII, bare or as a quoted string.",
        {
            "type": "string",
            "minLength": 1,
            "maxLength": 2 * KEY_CHARACTERS_MAX + 2,  # each character escaped, in quotes
            "pattern": r'^([!#-~][ -~]*|"([ !#-\[\]-~]|\\["\\])+")$',
        },
        "order-1815",
    ),
    "Prefer": Field(
        f"`wait=N`: hold the answer for up to N seconds, at most {WAIT_S_MAX}, until there is what"
        " is waited for. Anything else is left alone.",
        {"type": "string"},
        "wait=10",
    ),
    "If-None-Match": Field(
        "The `ETag` that you have: 304 while it is still the same.",
        {"type": "string", "pattern": _TAGS},
        '"3"',
    ),
    "If-Match": Field(
        "Act only while the job's `ETag` is this one, or one of these; else 412 and nothing done.",
        {"type": "string", "pattern": _TAGS},
        '"3"',
    ),
    "Last-Event-ID": Field(
        "Of a stream that broke off: the `id` of the last event you saw. It goes on after it.",
        {"type": "string"},
        "1043",
    ),
}

ANSWER: Final = {
    "X-Request-Id": Field(
        "The id of this request: yours, or a drawn one. Quote it when you ask about an answer.",
        {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$"},
        REQUEST_ID,
        always=True,
    ),
    "ETag": Field(
        "Names this very state, for `If-None-Match` and `If-Match`; of a job, its revision.",
        {"type": "string", "pattern": '^"[^"]+"$'},
        '"3"',
        always=True,
    ),
    "Log-Position": Field(
        "The position in the log that this answer rests on.",
        {"type": "integer", "minimum": 0},
        1043,
        always=True,
    ),
    "Location": Field(
        "The path of the job.",
        {"type": "string", "format": "uri-reference"},
        f"/jobs/{JOB_ID}",
        always=True,
    ),
    "Content-Location": Field(
        "The path of what the body shows, where the answer was waited for.",
        {"type": "string", "format": "uri-reference"},
        f"/jobs/{JOB_ID}",
    ),
    "Idempotency-Replayed": Field(
        "`true` when this is the answer that the key's first use got, again.",
        {"type": "string", "const": "true"},
        "true",
    ),
    "Preference-Applied": Field(
        "The preference that was honoured, with the seconds after which it would have given up.",
        {"type": "string", "pattern": "^wait=[0-9]+$"},
        "wait=10",
    ),
    "Link": Field(
        'The next page, as `rel="next"`; on the last page there is none.',
        {"type": "string"},
        '</jobs?limit=50&cursor=MTA0Mw>; rel="next"',
    ),
    "Retry-After": Field("Seconds after which to ask again.", {"type": "integer", "minimum": 0}, 5),
    "Allow": Field("The methods that the path has.", {"type": "string"}, "GET, HEAD", always=True),
    "Accept-Post": Field(
        "The media types that a body may have here.", {"type": "string"}, "application/json"
    ),
    "Accept-Encoding": Field(
        "The content codings that a body may have here.", {"type": "string"}, "identity"
    ),
    "Content-Security-Policy": Field(
        "What a browser may load for this page: nothing but the style sheet inside.",
        {"type": "string"},
        "default-src 'none'; style-src 'sha256-…'",
        always=True,
    ),
    "WWW-Authenticate": Field(
        "How to identify yourself.", {"type": "string"}, "Bearer", always=True
    ),
}


def field(table: dict[str, Field], name: str) -> Field:
    """The description of one. Raises LookupError saying where it is missing."""
    if name not in table:
        raise LookupError(f"{name!r} is not described in service/web/fields.py")
    return table[name]
