"""Where the tokens of a service are read: the lines of a variable, and those of a file.

What a line means is `service.access`'s. A fault in one stops the start, with its place and without
a word of what it holds; and none at all, where tokens are asked for, would be a service that nobody
can call.
"""

import re
from pathlib import Path

from service.access import InvalidTokensError, Token, tokens_of
from service.settings import CannotServeError, Settings


def read_tokens(settings: Settings) -> list[Token]:
    """The tokens of the settings. Raises CannotServeError, which never says what is in a line."""
    found = _tokens("--tokens", re.split(r"[;\n]", settings.tokens))
    if settings.tokens_file is not None:
        try:
            lines = Path(settings.tokens_file).read_text().splitlines()
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not text"
            raise CannotServeError(f"{settings.tokens_file}: {reason}") from error
        found += _tokens(settings.tokens_file, lines)
    if settings.guarded and not found:
        raise CannotServeError("there are no tokens: make one with `joblog token`")
    if len({token.digest for token in found}) < len(found):
        raise CannotServeError(f"--tokens and {settings.tokens_file} have the same secret twice")
    return found


def _tokens(where: str, lines: list[str]) -> list[Token]:
    try:
        return tokens_of(lines)
    except InvalidTokensError as error:
        raise CannotServeError(f"{where}, {error}") from error
