"""Addresses, bare and with a name: what is one, what it becomes, and that the quick way to tell
agrees with the thorough one.
"""

import pytest
from email_validator import SPECIAL_USE_DOMAIN_NAMES
from hypothesis import example, given, settings
from hypothesis import strategies as st

from service.processors.email import mailbox
from service.processors.email.mailbox import (
    NAME_CHARACTERS_MAX,
    Mailbox,
    parse_mailbox,
    require_no_control,
    require_no_encoded_word,
)


@pytest.mark.parametrize(
    ("text", "name", "address"),
    [
        ("ada@example.com", "", "ada@example.com"),
        ("<ada@example.com>", "", "ada@example.com"),
        ("Ada <ada@example.com>", "Ada", "ada@example.com"),
        ("Ada King<ada@example.com>", "Ada King", "ada@example.com"),
        ("Dr. Ada K. <ada@example.com>", "Dr. Ada K.", "ada@example.com"),
        ('"King, Ada" <ada@example.com>', "King, Ada", "ada@example.com"),
        (r'"\"Ada\" \\" <ada@example.com>', r'"Ada" \\'[:-1], "ada@example.com"),
        ('"a@b" <ada@example.com>', "a@b", "ada@example.com"),
        ("Zoë ☕ <zoe@example.com>", "Zoë ☕", "zoe@example.com"),
        ("zoë@example.com", "", "zoë@example.com"),
        ("ada@BÜCHER.example", "", "ada@xn--bcher-kva.example"),
        ("Ada@Example.COM", "", "Ada@example.com"),
        ("POSTMASTER@example.com", "", "postmaster@example.com"),
    ],
)
def test_a_mailbox_is_an_address_with_or_without_a_name(text, name, address):
    assert parse_mailbox(text) == Mailbox(name, address)


@pytest.mark.parametrize(
    "text",
    [
        "Ada",
        "Ada <>",
        "Ada <ada>",
        "Ada <ada@example.com",
        "Ada ada@example.com>",
        "King, Ada <ada@example.com>",
        "Ada <ada@example.com> <eve@example.com>",
        "Ada <ada@example.com>, eve@example.com",
        'Ada" <ada@example.com>',
        "Friends: ada@example.com;",
        "Ada (comment) <ada@example.com>",
        " ada@example.com",
        "Ada\n <ada@example.com>",
        '"Ada\r\nBcc: eve@example.com" <ada@example.com>',
        "=?utf-8?q?=0D=0ABcc=3A?= <ada@example.com>",
        '"=?utf-8?q?x?=" <ada@example.com>',
        "=?utf-8?q?=0D=0ABcc=3Aeve=40example.com?=@example.com",
        "ada@localhost",
        "ada@[127.0.0.1]",
        f"{'x' * (NAME_CHARACTERS_MAX + 1)} <ada@example.com>",
    ],
)
def test_such_a_text_is_none(text):
    with pytest.raises(ValueError):
        parse_mailbox(text)


def test_a_name_has_a_longest_length():
    assert len(parse_mailbox(f"{'x' * NAME_CHARACTERS_MAX} <a@b.example>").name) == 200


PIECES = st.sampled_from(
    [
        *("a", "b1", "B", "-", ".", "@", "+", "_", "=", "?", "=?utf-8?q?x?", "1", "c", "xn--", "é"),
        *(
            "x" * 31,
            "y" * 32,
            "z" * 33,
            "example",
            "com",
            ".com",
            ".local",
            ".test",
            "info",
            "Info",
        ),
        *("localhost", ".arpa", "<", ">", '"', " ", "\n"),
    ]
)


@given(st.lists(PIECES, max_size=14).map("".join) | st.tuples(PIECES, PIECES).map("@".join))
@example("=?utf-8?q?x?@example.com")
@example("a@example.onion")
@example(f"{'a' * 64}@example.com")
@example(f"{'a' * 65}@example.com")
@example(f"a@{'b' * 59}.com")
@example(f"a@{'b' * 60}.com")
@example(f"a@{'b' * 64}.com")
@example("a@ab--c.com")
@example("a@xn--a.com")
@example("a@b.c-")
@example("a@-b.com")
@example("a@1.2")
@example("a@b.c")
@example("a@b.c\n")
@settings(max_examples=500)
def test_the_quick_way_says_what_the_thorough_one_would(text):
    if mailbox._is_plain(text):
        require_no_control(text)
        require_no_encoded_word(text)
        assert mailbox._split(text) == ("", text)
        assert mailbox._validated(text) == text


def test_most_addresses_go_the_quick_way():
    for plain in (
        *("ada@example.com", "ada.lovelace+x@a-b.example.co", "o'hara@example.com", "a@b.io"),
        *(f"{'a' * 64}@example.com", f"a@{'b' * 59}.com", "1_2-3@a-b-c.4.example.org"),
    ):
        assert mailbox._is_plain(plain)


@pytest.mark.parametrize("name", SPECIAL_USE_DOMAIN_NAMES)
def test_a_domain_that_leads_nowhere_is_refused(name):
    with pytest.raises(ValueError, match="special-use"):
        parse_mailbox(f"ada@example.{name}")
