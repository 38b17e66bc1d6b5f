"""What may be posted as a message, and what must never become a header of its own.

A subject that hides a line break is how mail is sent in somebody's name to everybody, so what is
accepted is also put through Python's own header code, and must come out as the one header it went
in as. Whether an address exists is not asked here; sending finds it out.
"""

from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.processors.email.message import (
    BODY_CHARACTERS_MAX,
    SUBJECT_CHARACTERS_MAX,
    Email,
)

TO = "ada@example.com"


def refusal(**fields):
    """Why this is no message."""
    with pytest.raises(msgspec.ValidationError) as refused:
        msgspec.convert({"to": TO, "subject": "Hello", "body": ""} | fields, Email)
    return str(refused.value)


def accepted(subject):
    try:
        return msgspec.convert({"to": TO, "subject": subject}, Email)
    except msgspec.ValidationError:
        return None


def test_a_message_has_an_address_a_subject_and_a_body():
    found = msgspec.convert({"to": TO, "subject": "Grüße ☕", "body": "a\r\nb\x00"}, Email)
    assert found == Email(TO, "Grüße ☕", "a\r\nb\x00")


def test_the_body_may_be_left_out():
    assert msgspec.convert({"to": TO, "subject": ""}, Email).body == ""


@pytest.mark.parametrize("field", ["to", "subject"])
def test_the_rest_may_not(field):
    payload = {"to": TO, "subject": "Hello"}
    del payload[field]
    with pytest.raises(msgspec.ValidationError, match=field):
        msgspec.convert(payload, Email)


def test_an_unknown_member_is_refused_by_name():
    assert "`bcc`" in refusal(bcc="eve@example.com")


@pytest.mark.parametrize(
    "to",
    [
        "ada.lovelace+jobs@example.com",
        "a@b.example",
        "o'hara@example.com",
        "grüße@example.com",
        "ada@bücher.example",
    ],
)
def test_such_an_address_is_one(to):
    assert msgspec.convert({"to": to, "subject": ""}, Email).to == to


@pytest.mark.parametrize(
    "to",
    [
        "",
        "ada",
        "@example.com",
        "ada@",
        "ada@@example.com",
        "ada@example",
        "a da@example.com",
        "Ada <ada@example.com>",
        "ada@example.com, eve@example.com",
        "ada@example.com\r\nBcc: eve@example.com",
        "ada@example.com\n",
        "ada\x00@example.com",
        "ada@exa mple.com",
        "a" * 300 + "@example.com",
        "ada@" + "e" * 64 + ".com",
    ],
)
def test_such_an_address_is_none(to):
    assert "`$.to`" in refusal(to=to)


@pytest.mark.parametrize(
    "character", [chr(n) for n in [*range(32), *range(127, 160), 0x2028, 0x2029]]
)
def test_a_subject_is_one_line_without_control_characters(character):
    assert "`$.subject`" in refusal(subject=f"a{character}b")
    assert "`$.subject`" in refusal(subject=f"{character}b")
    assert "`$.subject`" in refusal(subject=f"a{character}")


@pytest.mark.parametrize(
    ("length", "fits"),
    [
        (SUBJECT_CHARACTERS_MAX - 1, True),
        (SUBJECT_CHARACTERS_MAX, True),
        (SUBJECT_CHARACTERS_MAX + 1, False),
    ],
)
def test_a_subject_has_a_longest_length(length, fits):
    assert (accepted("é" * length) is not None) is fits


@pytest.mark.parametrize(("more", "fits"), [(-1, True), (0, True), (1, False)])
def test_a_body_has_a_longest_length(more, fits):
    body = "é" * (BODY_CHARACTERS_MAX + more)
    if fits:
        assert msgspec.convert({"to": TO, "subject": "", "body": body}, Email).body == body
    else:
        assert "`$.body`" in refusal(body=body)


@pytest.mark.parametrize(
    "subject",
    ["What? = nothing", "2 =? 3", "a?=b", "is 1=1? yes", "Re: [x] =?= y", "100 % =?", "?q?"],
)
def test_question_marks_and_equal_signs_are_plain_text(subject):
    assert accepted(subject).subject == subject


BREAK = "=0D=0ABcc:=20eve@example.com"
HIDDEN = [
    f"=?utf-8?q?{BREAK}?=",
    f"=?utf-8?Q?{BREAK}?=",
    "=?utf-8?b?DQpCY2M6IGV2ZUBleGFtcGxlLmNvbQ==?=",
    f"=?utf-8*en?q?{BREAK}?=",
    f"=??q?{BREAK}?=",
    f"Hello =?utf-8?q?{BREAK}?= there",
    f"=?utf-8?q?a?= =?utf-8?q?{BREAK}?=",
]
HIDDEN_FROM_US = [  # no encoded words by RFC 2047, but by Python's reading of it
    f"=?utf-8 ?q?{BREAK}?=",
    f"=?utf 8?q?{BREAK}?=",
    f"=?utf-8?q?{BREAK}",
]


@pytest.mark.parametrize("subject", HIDDEN)
def test_an_encoded_word_is_refused(subject):
    assert "encoded word" in refusal(subject=subject)


@pytest.mark.parametrize("subject", HIDDEN_FROM_US)
def test_what_python_takes_for_an_encoded_word_is_refused_too(subject):
    assert "encoded word" in refusal(subject=subject)


def headers_of(subject):
    """The headers of a message with this subject, once it was written and read again."""
    message = EmailMessage(policy=SMTP)
    message["Subject"] = subject
    return message_from_bytes(bytes(message)).keys()


parts = st.sampled_from(
    [
        "=?",
        "?=",
        "?",
        "=",
        "?q?",
        "?b?",
        "?Q?",
        "utf-8",
        "*en",
        " ",
        BREAK,
        "DQpCY2M6IHg=",
        "x",
        "é",
    ]
)


@example(HIDDEN_FROM_US[0])
@given(st.lists(parts, max_size=12).map("".join))
def test_a_subject_that_is_accepted_is_one_header(subject):
    if accepted(subject):
        assert headers_of(subject) == ["Subject"]
