"""Tokens: who may do what, and by which name the log knows them.

A token is a secret that a client sends; the service keeps only its SHA-256. One line says all there
is to say of it, in a file or a variable, `#` begins a comment:

    # name     secret (only its hash)     what it is good for
    billing    sha256:9f86d081…           jobs:read,jobs:write
    runner-1   sha256:60303ae2…           work

| scope        | is good for |
|--------------|-------------|
| `jobs:read`  | looking: jobs, lists, histories, the log |
| `jobs:write` | posting, cancelling and retrying jobs; not for looking at those of others |
| `work`       | claiming jobs and reporting their outcomes |
| `admin`      | everything: what the others are good for, and operating the service |

A name is what the log says of who did something (`key:billing`), and idempotency keys are its own;
so a name keeps its keys when its secret is changed, and may have two lines while clients change
over. A plain hash is enough because secrets are made by `joblog token`, with 256 bits of chance: no
list of guesses would find one, so there is nothing for a slow hash to slow down.

Every secret is looked up the same way, against all tokens, in constant time: how long a refusal
takes tells nothing. Where lines are read from, and requests, is told elsewhere.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")


class Scope(StrEnum):
    """What a token may be good for."""

    READ = "jobs:read"
    WRITE = "jobs:write"
    WORK = "work"
    ADMIN = "admin"


class InvalidTokensError(Exception):
    """A line, counted from 1, is no token's. It may hold a secret, so it is never said back."""

    def __init__(self, number: int, why: str) -> None:
        super().__init__(f"line {number}: {why}")


@dataclass(frozen=True, slots=True)
class Token:
    """A secret's hash, whose it is, and what it is good for."""

    name: str
    digest: bytes
    scopes: frozenset[Scope]

    def permits(self, scope: Scope) -> bool:
        """Whether it is good for this."""
        return scope in self.scopes or Scope.ADMIN in self.scopes


class Keyring:
    """The tokens there are. An empty one means that there is no access control."""

    def __init__(self, tokens: Iterable[Token] = ()) -> None:
        self._tokens = tuple(tokens)

    def __len__(self) -> int:
        return len(self._tokens)

    def replace(self, tokens: Iterable[Token]) -> None:
        """From here on it is these."""
        self._tokens = tuple(tokens)

    def find(self, secret: str) -> Token | None:
        """The token of this secret."""
        digest = digest_of(secret)
        found = None
        for token in self._tokens:  # all of them, whichever it is
            if hmac.compare_digest(token.digest, digest):
                found = token
        return found


def digest_of(secret: str) -> bytes:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode(errors="surrogateescape")).digest()


def is_name(text: str) -> bool:
    """Whether a token can be called so."""
    return _NAME.fullmatch(text) is not None


def line_of(token: Token) -> str:
    """A token as its line."""
    scopes = ",".join(scope for scope in Scope if scope in token.scopes)
    return f"{token.name} sha256:{token.digest.hex()} {scopes}"


def tokens_of(lines: Iterable[str]) -> list[Token]:
    """The tokens of these lines. Raises InvalidTokensError."""
    found: dict[bytes, Token] = {}
    for number, line in enumerate(lines, 1):
        said = line.partition("#")[0].split()
        if said:
            token = _token(number, said)
            if token.digest in found:
                raise InvalidTokensError(number, "another line has the same secret")
            found[token.digest] = token
    return list(found.values())


def _token(number: int, said: list[str]) -> Token:
    if len(said) != len(("name", "digest", "scopes")):
        raise InvalidTokensError(number, "a token is NAME sha256:HEX SCOPE[,SCOPE…]")
    name, digest, scopes = said
    if not is_name(name):
        raise InvalidTokensError(number, f"a name is like {_NAME.pattern}")
    hexadecimal = _DIGEST.fullmatch(digest)
    if hexadecimal is None:
        raise InvalidTokensError(number, "the secret is given as sha256: and 64 digits of 0-9a-f")
    try:
        granted = frozenset(map(Scope, scopes.split(",")))
    except ValueError:
        raise InvalidTokensError(number, f"the scopes are {', '.join(Scope)}") from None
    return Token(name, bytes.fromhex(hexadecimal[1]), granted)
