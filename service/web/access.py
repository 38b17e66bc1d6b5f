"""Who may make a call: a bearer token (RFC 6750) that is good for what the call asks for.

Every endpoint is called through `Access.guarding`, which `app` puts around each `Operation`: what a
call asks for is part of its declaration, so none can be served unguarded by an oversight. It comes
before anything of a request is read:

- no token, or none of ours: 401, the same for a wrong one, a revoked one and a garbled one;
- a token that is not good for it: 403, naming the scope that would be.

Who was let in is in the request's state: `actor` for the log, and `owner`, whose idempotency keys
these are. Without tokens there is no access control: all calls come from the user that the service
runs as, which is sound only where nobody else can reach it (`service.server` sees to that).

What a token is, and which there are, is `service.access`'s.
"""

import re
from collections.abc import Awaitable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from service.access import Keyring, Scope, Token
from service.web import problems
from service.web.headers import given
from service.web.operation import Endpoint, Operation
from service.web.problems import ProblemError

NOBODYS_KEYS = "-"  # no token is called so
CHALLENGE: Final = "WWW-Authenticate"

_BEARER = re.compile(r"bearer +([A-Za-z0-9._~+/-]+=*) *", re.IGNORECASE)


def owner(request: Request) -> str:
    """Whose idempotency keys a request means."""
    found: str = request.scope["state"]["owner"]
    return found


class Access:
    """Lets requests in. `local` is who asks where there are no tokens."""

    def __init__(self, keyring: Keyring, *, local: str) -> None:
        self._keyring = keyring
        self._local = local

    def guarding(self, operation: Operation) -> Endpoint:
        """The operation's endpoint, for those who may call it."""
        if operation.scope is None:
            return operation.endpoint
        needed = operation.scope

        def guarded(request: Request) -> Awaitable[Response]:
            self._admit(request, needed)
            return operation.endpoint(request)

        return guarded

    def _admit(self, request: Request, needed: Scope) -> None:
        """Note who asks. Raises ProblemError when they may not."""
        state = request.scope["state"]
        if self._keyring:
            token = self._token(request)
            _require(token, needed)
            state["actor"], state["owner"] = f"key:{token.name}", token.name
        else:
            state["actor"], state["owner"] = self._local, NOBODYS_KEYS

    def _token(self, request: Request) -> Token:
        values = given(request.scope, b"authorization")
        if not values:
            raise _unauthenticated("send Authorization: Bearer, and a token", "Bearer")
        bearer = _BEARER.fullmatch(values[0]) if len(values) == 1 else None
        token = self._keyring.find(bearer[1]) if bearer else None
        if token is None:
            raise _unauthenticated("this is none of our tokens", 'Bearer error="invalid_token"')
        return token


def _require(token: Token, scope: Scope) -> None:
    if not token.permits(scope):
        raise ProblemError(
            problems.INSUFFICIENT_SCOPE,
            f"this needs the scope {scope}, which the token {token.name} does not have",
            headers={CHALLENGE: f'Bearer error="insufficient_scope", scope="{scope}"'},
        )


def _unauthenticated(detail: str, challenge: str) -> ProblemError:
    return ProblemError(problems.UNAUTHENTICATED, detail, headers={CHALLENGE: challenge})
