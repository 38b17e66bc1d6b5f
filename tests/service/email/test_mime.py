"""The bytes of a message: the same every time, read by Python's own parser as what was posted, and
without anything that the envelope alone should know.
"""

import re
from email import message_from_bytes
from email.policy import default

import msgspec
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from service.processors.email import mime
from service.processors.email.header import NotAsAskedError
from service.processors.email.mime import render
from tests.support.letters import ADA, BOB, DATE, EVE, JOB, MESSAGE_ID, SENDER, email, letter

GOLDEN = "9b19d42a466c9ce4085198501ef8d8f6c060947f0e2944ee1a954389383e7f7c"


def read(sent):
    return message_from_bytes(sent.content, policy=default)


def test_a_plain_message_is_these_bytes():
    assert letter().content == (
        b"From: jobs@joblog.example\r\n"
        b"To: ada@example.com\r\n"
        b"Subject: Hello\r\n"
        b"Date: Mon, 23 Nov 2026 12:00:00 +0000\r\n"
        b"Message-ID: <01a20bc5-9325-75a2-b450-d27742b0db04@joblog.example>\r\n"
        b"Auto-Submitted: auto-generated\r\n"
        b"MIME-Version: 1.0\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\n"
        b"Content-Transfer-Encoding: 7bit\r\n"
        b"\r\n"
        b"How are you?\r\n"
    )


def test_the_digest_of_these_bytes_does_not_change_between_versions():
    """A difference is no disaster, but it must be meant: running jobs will say so in their log."""
    everything = letter(
        to=["Zoë <zoe@example.com>", '"King, Ada" <ada@bücher.example>'],
        cc=EVE, bcc=BOB, reply_to=SENDER, subject="Grüße " * 30, body="☕\r\n.\rFrom me",
        html="<p>☕" * 40, headers={"List-Unsubscribe": "<https://example.com/u>", "X-A": "é"},
    )  # fmt: skip
    assert everything.sha256 == GOLDEN


def test_every_rendering_is_the_same():
    fields = {"html": "<p>é" * 100, "subject": "é" * 300, "cc": [EVE, BOB]}
    assert letter(**fields) == letter(**fields)


def test_the_envelope_is_everybody_in_order():
    found = letter(to=f"Ada <{ADA}>", cc=[EVE], bcc=[BOB, ADA], **{"from": f"Jobs <{SENDER}>"})
    assert found.sender == SENDER
    assert found.recipients == (ADA, EVE, BOB, ADA)


def test_who_is_in_bcc_is_in_no_byte():
    found = letter(bcc=[f"Bob <{BOB}>"], html="<p>")
    assert b"bob" not in found.content.lower()
    assert b"bcc" not in found.content.lower()
    assert read(letter(to=[], bcc=BOB)).keys()[:2] == ["From", "Subject"]


def test_headers_are_those_asked_for_and_the_ones_that_are_ours():
    fields = {
        "to": [f"Zoë <{ADA}>", EVE], "cc": BOB, "reply_to": f'"A, B" <{EVE}>', "subject": "Grüße",
        "headers": {"X-A": "é", "In-Reply-To": "<1@example.com>"},
    }  # fmt: skip
    assert read(letter(**fields)).items() == [
        ("From", SENDER),
        ("To", f"Zoë <{ADA}>, {EVE}"),
        ("Cc", BOB),
        ("Reply-To", f'"A, B" <{EVE}>'),
        ("Subject", "Grüße"),
        ("Date", DATE),
        ("Message-ID", MESSAGE_ID),
        ("X-A", "é"),
        ("In-Reply-To", "<1@example.com>"),
        ("Auto-Submitted", "auto-generated"),
        ("MIME-Version", "1.0"),
        ("Content-Type", 'text/plain; charset="utf-8"'),
        ("Content-Transfer-Encoding", "7bit"),
    ]


@pytest.mark.parametrize("name", ["Auto-Submitted", "auto-submitted"])
def test_that_it_was_submitted_by_a_program_may_be_denied(name):
    assert read(letter(headers={name: "no"})).get_all("Auto-Submitted") == ["no"]


def test_a_domain_goes_out_as_an_a_label():
    found = letter(to="ada@bücher.example")
    assert found.recipients == ("ada@xn--bcher-kva.example",)
    assert b"To: ada@xn--bcher-kva.example\r\n" in found.content
    assert not found.utf8


@pytest.mark.parametrize("where", ["to", "cc", "bcc", "reply_to", "from"])
def test_a_local_part_that_is_not_ascii_needs_smtputf8(where):
    assert letter(**{where: "zoë@example.com"}).utf8
    assert not letter(**{where: "Zoë <zoe@example.com>"}).utf8


@pytest.mark.parametrize(
    ("fields", "kinds"),
    [
        ({"body": "a"}, ["text/plain"]),
        ({"body": ""}, ["text/plain"]),
        ({"body": "", "html": "<p>"}, ["text/html"]),
        ({"body": "a", "html": "<p>"}, ["multipart/alternative", "text/plain", "text/html"]),
    ],
)
def test_text_and_html_are_alternatives(fields, kinds):
    assert [part.get_content_type() for part in read(letter(**fields)).walk()] == kinds


def test_the_boundary_is_the_jobs():
    assert read(letter(html="<p>")).get_boundary() == f"=_{JOB}"
    other = render(email(html="<p>"), job_id="another", message_id=MESSAGE_ID, date=DATE)
    assert read(other).get_boundary() == "=_another"


def test_a_body_that_knows_the_boundary_does_not_end_its_part():
    hostile = f"--=_{JOB}\r\nContent-Type: text/html\r\n\r\n<p>\r\n--=_{JOB}--\r\n"
    message = read(letter(body=hostile, html=hostile))
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    assert [content(part) for part in message.iter_parts()] == [hostile.replace("\r", "")] * 2


def content(part):
    return part.get_content().replace("\r\n", "\n")


def normal(text):
    """As it arrives: lines end one way, and the last one does too."""
    lines = re.sub(r"\r\n|\r", "\n", text)
    return lines if lines.endswith("\n") else lines + "\n"


words = st.text(max_size=40) | st.text('a =?q_utf-8b\r\n\t:é<>@,"', max_size=30)


@given(subject=words, header=words, name=words)
def test_whatever_is_posted_is_refused_or_read_as_just_that(subject, header, name):
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    fields = {"to": f'"{quoted}" <{ADA}>', "subject": subject, "headers": {"X-A": header}}
    try:
        message = read(letter(**fields))
    except (msgspec.ValidationError, NotAsAskedError):
        return
    assert message.keys() == [
        *("From", "To", "Subject", "Date", "Message-ID", "X-A", "Auto-Submitted"),
        *("MIME-Version", "Content-Type", "Content-Transfer-Encoding"),
    ]
    assert (message["Subject"], message["X-A"]) == (subject, header)
    assert [each.display_name for each in message["To"].addresses] == [name.strip()]


bodies = st.text(max_size=200) | st.text(".=\r\n\t aé☕\x00", max_size=400)


@example("x" * 998, "x" * 999)
@example("From me\n.\n..\n", "\n")
@example(" \n\t\n ", "=\n=3D")
@given(bodies, bodies)
def test_what_is_posted_is_what_is_read(body, html):
    message = read(letter(body=body, html=html))
    if body:
        plain, message = message.iter_parts()
        assert content(plain) == normal(body)
    assert content(message) == normal(html)


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        ("x" * 998, "7bit"),
        ("x" * 999, "quoted-printable"),
        ("a\r\nb\rc\n" + "x" * 998 + "\n", "7bit"),
        ("\n\t ~\n\n", "7bit"),
        ("a\x7f", "quoted-printable"),
        ("a\x0b", "quoted-printable"),
        ("é", "quoted-printable"),
        (f"=_{JOB}", "quoted-printable"),
    ],
)
def test_text_of_short_ascii_lines_is_sent_as_it_is(body, encoding):
    assert read(letter(body=body))["Content-Transfer-Encoding"] == encoding


@given(bodies, bodies)
def test_it_is_lines_of_seven_bits_that_every_server_takes(body, html):
    for line in letter(body=body, html=html).content.split(b"\r\n"):
        assert len(line) <= 998
        assert re.fullmatch(rb"[\t -~]*", line)


addresses = st.sampled_from(
    [
        ADA,
        f"Ada <{ADA}>",
        "Ada@EXAMPLE.com",
        "a+b.c-d@mail.example.com",
        "ada@bücher.example",
        "ü@example.com",
        f"{'a' * 64}@{'b' * 10}.example.com",
        f"{'a' * 60}@example.com",
    ]
)
subjects = words | st.sampled_from(
    ["Hello", "", "a  b", "a =? b", "x" * 69, "x" * 70, "x y" * 300, "\x7f"]
)


@example(ADA, SENDER, "x" * 69, "")  # with its name, the longest line that is not folded
@example(ADA, SENDER, "Hello", f"=_{JOB}")
@given(addresses, addresses, subjects, bodies)
@settings(max_examples=300)
def test_an_ordinary_letter_is_the_one_that_any_way_leads_to(to, sender, subject, body):
    try:
        posted = email(to=to, subject=subject, body=body, **{"from": sender})
    except msgspec.ValidationError:
        assume(False)
    asked = posted, f"=_{JOB}", MESSAGE_ID, DATE
    found = mime._ordinary(*asked)
    assert found is None or found == mime._any(*asked)


def test_most_letters_are_ordinary():
    for subject in ("Hello", "How are you?", "x" * 69):
        posted = email(subject=subject, body="é" * 100)
        asked = posted, f"=_{JOB}", MESSAGE_ID, DATE
        assert mime._ordinary(*asked) == mime._any(*asked)


@pytest.mark.parametrize(
    "more",
    [
        {"to": [ADA]}, {"to": f"Ada <{ADA}>"}, {"cc": EVE}, {"bcc": BOB}, {"reply_to": EVE},
        {"headers": {"X": "y"}}, {"subject": "x" * 70}, {"subject": "é"}, {"subject": ""},
        {"subject": "a  b"}, {"subject": "=?"}, {"from": f"Jobs <{SENDER}>"},
    ],
)  # fmt: skip
def test_what_asks_for_more_is_not_ordinary(more):
    assert mime._ordinary(email(**more), f"=_{JOB}", MESSAGE_ID, DATE) is None
