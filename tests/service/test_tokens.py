"""Where tokens come from: the settings and a file, read at the start; and why a start is refused.

What a line means is `test_access`'s matter.
"""

from pathlib import Path

import pytest

from service.access import digest_of
from service.settings import CannotServeError, Settings
from service.tokens import read_tokens

A, B = (f"{name} sha256:{digest_of(name).hex()} admin" for name in ("a", "b"))


def names(**settings: str | None) -> list[str]:
    return [token.name for token in read_tokens(Settings(**settings))]


def test_without_tokens_there_are_none() -> None:
    assert read_tokens(Settings()) == []


@pytest.mark.parametrize("tokens", [f"{A};{B}", f"{A}\n{B}\n", f" {A} ; ; {B} ", f"# x;{A};{B}"])
def test_lines_of_a_setting_are_separated_by_semicolons_or_as_lines_are(tokens: str) -> None:
    assert names(tokens=tokens) == ["a", "b"]


def test_a_file_has_a_line_each_and_both_may_be_given(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"# ours\n\n{A}\n")
    assert names(tokens_file=str(file)) == ["a"]
    assert names(tokens=B, tokens_file=str(file)) == ["b", "a"]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (f"{A}\n\nnonsense\n", "tokens, line 3: a token is"),
        (f"{A}\n{A}\n", "tokens, line 2: another line has the same secret"),
        ("", "there are no tokens"),
        ("# none\n", "there are no tokens"),
        (b"\xff", "tokens: it is not text"),
        (None, "tokens: No such file or directory"),
    ],
)
def test_a_file_that_is_not_right_stops_the_start(
    tmp_path: Path, content: str | bytes | None, why: str
) -> None:
    file = tmp_path / "tokens"
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(CannotServeError, match=why):
        names(tokens_file=str(file))


def test_a_secret_that_is_in_both_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(A)
    with pytest.raises(CannotServeError, match="the same secret twice"):
        names(tokens=A, tokens_file=str(file))


@pytest.mark.parametrize("tokens", ["nonsense", ";", " "])
def test_a_setting_without_a_token_is_no_open_door(tokens: str) -> None:
    with pytest.raises(CannotServeError):
        names(tokens=tokens)
