"""The example request of a call, as a `curl` command that works as it stands.

`$JOBLOG` stands for the server's address: set it in a shell, or read the page of a server, which
puts its own there. `$ID` stands for a job of the reader's, because the one of the examples is made
up; for the same reason a command sets no condition on a revision. Other values come from the call's
sample and from `fields`. A body that has to be there but has no example is an empty object, to be
filled in.

Only the command's text is made here; whoever wants to run it has a shell.
"""

import json
import shlex
from typing import Any, Final, get_origin
from urllib.parse import urlencode

import msgspec

from service.web import fields
from service.web.operation import Body, Operation

ADDRESS: Final = "$JOBLOG"
READERS: Final = {"id": "$ID"}  # of what is in a path: only the reader knows
CONDITIONS: Final = frozenset({"If-Match"})  # of a revision that the reader does not have

_NEXT_LINE = " \\\n  "


def curl(call: Operation) -> str:
    """The command."""
    words = [f'curl -s {_method(call)}"{ADDRESS}{_path(call)}{_query(call)}"']
    words += [
        f"-H {shlex.quote(f'{name}: {call.sample[name]}')}"
        for name in call.headers
        if name in call.sample and name not in CONDITIONS
    ]
    if call.body is not None and (said := _said(call.body)) is not None:
        words += _body(call.body, said)
    return _NEXT_LINE.join(words)


def _method(call: Operation) -> str:
    implied = "GET" if call.body is None or _said(call.body) is None else "POST"
    return "" if call.method == implied else f"-X {call.method} "


def _path(call: Operation) -> str:
    path = call.path
    known = {name: found.example for name, found in fields.PATH.items()}
    for name, value in (known | READERS | dict(call.sample)).items():
        path = path.replace(f"{{{name}}}", str(value))
    return path


def _query(call: Operation) -> str:
    known = call.query.__struct_fields__
    query = {name: value for name, value in call.sample.items() if name in known}
    return f"?{urlencode(query)}" if query else ""


def _said(body: Body) -> Any:
    """What the command sends; None: nothing."""
    if body.example is not None or not body.required:
        return msgspec.to_builtins(body.example)
    return [{}] if get_origin(body.type) is list else {}


def _body(body: Body, said: Any) -> list[str]:
    text = json.dumps(said, ensure_ascii=False)
    return [f"-H {shlex.quote(f'Content-Type: {body.media[0]}')}", f"-d {shlex.quote(text)}"]
