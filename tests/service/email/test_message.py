"""What may be posted as a message, and where a refusal points.

What becomes of an accepted one as bytes is tested in `test_mime`, and that nothing in it becomes a
header of its own in `test_header`. Whether an address exists is not asked here; sending finds out.
"""

import msgspec
import pytest

from service.processors.email.message import (
    BODY_CHARACTERS_MAX,
    HEADER_CHARACTERS_MAX,
    HEADER_NAME_CHARACTERS_MAX,
    HEADERS_MAX,
    RECIPIENTS_MAX,
    STRUCTURAL,
    SUBJECT_CHARACTERS_MAX,
    TAG_CHARACTERS_MAX,
    TAGS_MAX,
    Email,
)
from service.web.validation import invalid_body

TO = "ada@example.com"


def refusal(**fields):
    """Why this is no message."""
    with pytest.raises(msgspec.ValidationError) as refused:
        msgspec.convert({"to": TO, "subject": "Hello", "body": ""} | fields, Email)
    return str(refused.value)


def pointer(**fields):
    """Where it is refused."""
    with pytest.raises(msgspec.ValidationError) as refused:
        msgspec.convert({"to": TO, "subject": "Hello"} | fields, Email)
    return invalid_body(refused.value).pointer


def fits(**fields):
    try:
        msgspec.convert({"to": TO, "subject": "Hello"} | fields, Email)
    except msgspec.ValidationError:
        return False
    return True


def accepted(subject):
    try:
        return msgspec.convert({"to": TO, "subject": subject}, Email)
    except msgspec.ValidationError:
        return None


def test_a_message_has_an_address_a_subject_and_a_body():
    found = msgspec.convert({"to": TO, "subject": "Grüße ☕", "body": "a\r\nb\x00"}, Email)
    assert found == Email(to=TO, subject="Grüße ☕", body="a\r\nb\x00")


def test_the_body_may_be_left_out():
    assert msgspec.convert({"to": TO, "subject": ""}, Email).body == ""


def test_a_subject_may_not():
    with pytest.raises(msgspec.ValidationError, match="subject"):
        msgspec.convert({"to": TO}, Email)


@pytest.mark.parametrize("empty", [{}, {"to": []}, {"to": [], "cc": [], "bcc": []}])
def test_somebody_must_get_it(empty):
    with pytest.raises(msgspec.ValidationError, match=r"no recipient: .* - at `\$\.to`"):
        msgspec.convert({"subject": "Hello"} | empty, Email)


def test_a_sender_may_be_given_later_and_changes_nothing_else():
    fields = {"to": [TO, f"Ada <{TO}>"], "subject": "é", "headers": {"X-A": "b"}, "tags": ["a"]}
    message = msgspec.convert(fields, Email)
    signed = message.sent_by("Jobs <jobs@example.com>")
    assert signed == msgspec.structs.replace(message, from_="Jobs <jobs@example.com>")
    assert message.from_ is None


def test_a_sender_that_is_none_is_refused_then_too():
    with pytest.raises(ValueError, match=r"@-sign.* - at `\$\.from`"):
        Email(to=TO, subject="").sent_by("jobs")


@pytest.mark.parametrize("where", ["to", "cc", "bcc"])
def test_anybody_will_do(where):
    assert msgspec.convert({"subject": "", where: TO}, Email).recipients == [TO]


def test_the_recipients_are_to_then_cc_then_bcc():
    fields = {"bcc": "d@x.example", "cc": ["b@x.example", "c@x.example"], "to": "a@x.example"}
    found = msgspec.convert({"subject": ""} | fields, Email)
    assert [address[0] for address in found.recipients] == ["a", "b", "c", "d"]


@pytest.mark.parametrize(("more", "enough"), [(-1, True), (0, True), (1, False)])
def test_a_hundred_recipients_are_the_most_over_all_three(more, enough):
    many = [f"a{n}@example.com" for n in range(RECIPIENTS_MAX - 2 + more)]
    assert fits(to=many, cc=TO, bcc=[TO]) is enough
    assert fits(reply_to=[TO] * (RECIPIENTS_MAX + more)) is enough


def test_an_unknown_member_is_refused_by_name():
    assert pointer(colour="red") == "#/colour"


@pytest.mark.parametrize("where", ["to", "cc", "bcc", "reply_to"])
def test_a_refusal_points_at_the_address(where):
    assert pointer(**{where: "ada"}) == f"#/{where}"
    assert pointer(**{where: [TO, "ada"]}) == f"#/{where}/1"
    assert pointer(**{where: [TO, 5]}) == f"#/{where}/1"
    assert pointer(**{"from": "ada"}) == "#/from"


def test_a_message_may_have_everything():
    everything = {
        "to": ["Ada <ada@example.com>"],
        "cc": TO,
        "bcc": [TO],
        "reply_to": TO,
        "from": '"Jobs, Ltd." <jobs@example.com>',
        "subject": "Hello",
        "body": "Hi",
        "html": "<p>Hi",
        "headers": {"List-Unsubscribe": "<https://example.com/u?=1>", "X-A": ""},
        "tags": {"campaign": "spring"},
    }
    found = msgspec.convert(everything, Email)
    assert msgspec.json.decode(msgspec.json.encode(found)) == everything


@pytest.mark.parametrize(
    "to",
    [
        "ada.lovelace+jobs@example.com",
        "a@b.example",
        "o'hara@example.com",
        "grüße@example.com",
        "ada@bücher.example",
        "Ada <ada@example.com>",
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


# headers and tags


@pytest.mark.parametrize("name", [*sorted(STRUCTURAL), "Content-Type", "Resent-To", "ARC-Seal"])
def test_what_makes_a_message_what_it_is_cannot_be_set_as_a_header(name):
    for spelt in (name, name.upper(), name.title()):
        assert pointer(headers={spelt: "x"}) == f"#/headers/{spelt}"


@pytest.mark.parametrize("name", ["", "X Y", "X:Y", "X\r\nBcc", "Ü", "1X", "-X", "X_Y", "X.Y"])
def test_such_a_name_is_no_headers(name):
    assert pointer(headers={name: "x"}) == "#/headers"


def test_a_header_comes_once():
    assert pointer(headers={"X-A": "1", "x-a": "2"}) == "#/headers"


@pytest.mark.parametrize(
    "text", ["a\r\nBcc: eve@example.com", "a\n b", "a\x00", "a\x85b", HIDDEN[0]]
)
def test_a_header_is_one_line(text):
    assert pointer(headers={"X-A": text}) == "#/headers/X-A"


@pytest.mark.parametrize(("more", "enough"), [(-1, True), (0, True), (1, False)])
def test_headers_and_tags_have_limits(more, enough):
    assert fits(headers={f"X-{n}": "" for n in range(HEADERS_MAX + more)}) is enough
    assert fits(headers={"X-A": "x" * (HEADER_CHARACTERS_MAX + more)}) is enough
    assert fits(headers={"X" * (HEADER_NAME_CHARACTERS_MAX + more): "x"}) is enough
    assert fits(tags=["t"] * (TAGS_MAX + more)) is enough
    assert fits(tags=["t" * (TAG_CHARACTERS_MAX + more)]) is enough
    assert fits(tags={"t" * (TAG_CHARACTERS_MAX + more): ""}) is enough
    assert fits(tags={"": "t" * (TAG_CHARACTERS_MAX + more)}) is enough
    assert fits(html="x" * (BODY_CHARACTERS_MAX + more)) is enough


@pytest.mark.parametrize("tags", [{"a": "b"}, ["a", "b"], {}, []])
def test_tags_are_names_or_names_with_values(tags):
    assert fits(tags=tags)
    assert pointer(tags={"a": 1}) == pointer(tags="a") == "#/tags"
