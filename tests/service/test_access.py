"""Tokens: what a line says, which lines are refused and where, and which secret is whose.

Requests with tokens are `tests/service/web/test_access.py`'s matter.
"""

import hmac

import pytest

from service import access
from service.access import (
    InvalidTokensError,
    Keyring,
    Scope,
    Token,
    digest_of,
    is_name,
    line_of,
    tokens_of,
)

HEX = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"  # of "test"
LINE = f"billing sha256:{HEX} jobs:read,jobs:write"


def token(name: str = "billing", secret: str = "test", *scopes: Scope) -> Token:
    return Token(name, digest_of(secret), frozenset(scopes or Scope))


def test_a_line_is_a_name_a_hash_and_scopes() -> None:
    [found] = tokens_of([LINE])
    assert found == token("billing", "test", Scope.READ, Scope.WRITE)
    assert line_of(found) == LINE


def test_comments_and_empty_lines_are_nothing() -> None:
    lines = ["# ours", "", "  ", f"\tbilling\tsha256:{HEX}   work   # theirs", "#"]
    assert tokens_of(lines) == [token("billing", "test", Scope.WORK)]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("billing", "NAME sha256:HEX SCOPE"),
        (f"billing sha256:{HEX}", "NAME sha256:HEX SCOPE"),
        (f"{LINE} admin", "NAME sha256:HEX SCOPE"),
        (f"- sha256:{HEX} admin", "a name is like"),
        (f"a/b sha256:{HEX} admin", "a name is like"),
        (f"é sha256:{HEX} admin", "a name is like"),
        (f"{'n' * 65} sha256:{HEX} admin", "a name is like"),
        (f"billing {HEX} admin", "64 digits"),
        (f"billing sha1:{HEX} admin", "64 digits"),
        (f"billing sha256:{HEX[1:]} admin", "64 digits"),
        (f"billing sha256:{HEX}0 admin", "64 digits"),
        (f"billing sha256:{HEX.upper()} admin", "64 digits"),
        (f"billing sha256:{'g' * 64} admin", "64 digits"),
        (f"billing sha256:{HEX} jobs", "the scopes are jobs:read, jobs:write, work, admin"),
        (f"billing sha256:{HEX} jobs:read,", "the scopes are"),
        (f"billing sha256:{HEX} ADMIN", "the scopes are"),
        (f"other sha256:{HEX} admin", "another line has the same secret"),
    ],
)
def test_what_is_no_line_is_refused_by_its_number_and_not_said_back(line: str, why: str) -> None:
    with pytest.raises(InvalidTokensError, match=f"^line 3: .*{why}") as refused:
        tokens_of(["# ours", LINE, line])
    for secret in line.split()[1:2]:
        assert secret not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "fits"),
    [("a", True), ("n" * 64, True), ("n" * 65, False), ("", False), ("a.b_c-9", True),
     ("-", False), (".a", False), ("a b", False), ("a\n", False)],
)  # fmt: skip
def test_names(text: str, fits: bool) -> None:
    assert is_name(text) is fits


@pytest.mark.parametrize("scope", Scope)
def test_a_token_is_good_for_its_own_scopes_only_and_admin_for_all(scope: Scope) -> None:
    for other in Scope:
        good = token("n", "s", scope).permits(other)
        assert good is (other is scope or scope is Scope.ADMIN)


def test_a_secret_is_found_wherever_it_stands() -> None:
    tokens = [token(f"n{number}", f"secret-{number}") for number in range(5)]
    ring = Keyring(tokens)
    for number in range(5):
        assert ring.find(f"secret-{number}") is tokens[number]
    for wrong in ("", "secret-", "secret-5", "secret-00", "Secret-0", "secret-0 ", "\udcff"):
        assert ring.find(wrong) is None
    assert Keyring().find("") is None


def test_two_secrets_may_be_one_name() -> None:
    ring = Keyring([token("billing", "old"), token("billing", "new")])
    assert ring.find("old").name == ring.find("new").name == "billing"


@pytest.mark.parametrize("secret", ["first", "last", "neither"])
def test_every_token_is_looked_at_whichever_it_is(
    monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    looked = []

    class Watched:
        @staticmethod
        def compare_digest(one: bytes, other: bytes) -> bool:
            looked.append(one)
            return hmac.compare_digest(one, other)

    monkeypatch.setattr(access, "hmac", Watched)
    tokens = [token("a", "first"), token("b", "middle"), token("c", "last")]
    Keyring(tokens).find(secret)
    assert looked == [each.digest for each in tokens]


def test_the_tokens_can_be_replaced() -> None:
    ring = Keyring([token("a", "old")])
    ring.replace([token("a", "new"), token("b", "other")])
    assert ring.find("old") is None
    assert ring.find("new").name == "a"
    assert len(ring) == 2
