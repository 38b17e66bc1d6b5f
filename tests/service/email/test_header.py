"""Header blocks: what is written is what was asked for, or it is refused.

The property is told by a reader that shares no code with us: Python's `email` parser; for names an
older one that it has, for the newer puts spaces between encoded words. A writer with a planted hole
shows that the check inside would catch what the checks before it let through. The two ways around
that check are held against it.
"""

from email import message_from_bytes
from email.header import decode_header, make_header
from email.policy import compat32, default
from email.utils import getaddresses

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from service.processors.email import header
from service.processors.email.header import NotAsAskedError, write_headers
from service.processors.email.mailbox import Mailbox, parse_mailbox

ADA = Mailbox("", "ada@example.com")


def read(block):
    """Names and values, as Python's own parser finds them."""
    message = message_from_bytes(block + b"\r\nbody", policy=default)
    assert message.get_content() == "body"
    return [(name, str(value)) for name, value in message.items()]


def read_mailboxes(block):
    """The names and addresses of the only header, by Python's parser of 1998."""
    message = message_from_bytes(block + b"\r\n", policy=compat32)
    assert message.keys() == ["To"]
    raw = block.decode().partition(": ")[2].replace("\r\n", "")
    return [(str(make_header(decode_header(name))), to) for name, to in getaddresses([raw])]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Hello", b"Subject: Hello\r\n"),
        ("", b"Subject:\r\n"),
        ("2 =? 3 ?= 4", b"Subject: =?utf-8?"),
        ("Grüße", b"Subject: =?utf-8?b?R3LDvMOfZQ==?=\r\n"),
        ("a  b", b"Subject: =?utf-8?q?a__b?=\r\n"),
        (" a", b"Subject: =?utf-8?q?_a?=\r\n"),
    ],
)
def test_plain_text_is_written_plainly_and_all_else_as_encoded_words(text, line):
    block = write_headers([("Subject", text)])
    assert block.startswith(line)
    assert read(block) == [("Subject", text)]


def test_a_long_text_is_folded_where_it_has_spaces():
    text = " ".join(["word"] * 40)
    lines = write_headers([("Subject", text)]).split(b"\r\n")
    assert all(len(line) <= 78 for line in lines)
    assert read(b"\r\n".join(lines)) == [("Subject", text)]


@pytest.mark.parametrize("length", [898, 899, 900, 901, 998])
def test_no_line_is_longer_than_a_server_takes(length):
    block = write_headers([("X" * 70, "x" * length)])
    assert max(map(len, block.split(b"\r\n"))) <= 998
    assert read(block) == [("X" * 70, "x" * length)]


def test_a_url_is_never_encoded():
    url = f"<https://example.com/{'u' * 300}>"
    assert url.encode() in write_headers([("List-Unsubscribe", url)])


@pytest.mark.parametrize(
    ("mailboxes", "block"),
    [
        ([ADA], b"To: ada@example.com\r\n"),
        ([ADA, ADA], b"To: ada@example.com,\r\n ada@example.com\r\n"),
        ([Mailbox("Ada King", ADA.address)], b"To: Ada King <ada@example.com>\r\n"),
        ([Mailbox('King, "A" \\', ADA.address)], b'To: "King, \\"A\\" \\\\" <ada@example.com>\r\n'),
        ([Mailbox("Zoë", ADA.address)], b"To: =?utf-8?q?Zo=C3=AB?= <ada@example.com>\r\n"),
        ([Mailbox("", "zoë@example.com")], "To: zoë@example.com\r\n".encode()),
    ],
)
def test_mailboxes_are_written_one_a_line(mailboxes, block):
    assert write_headers([("To", tuple(mailboxes))]) == block


names = st.text(max_size=60)
text = st.text(max_size=120) | st.text("a =?q_utf-8b\r\n\t:é", max_size=40)


@example([("Subject", "=?utf-8 ?q?=0D=0ABcc:=20eve@example.com?=")])
@example([("X-A", "a\x0bBcc: x")])
@example([("X-A", "a\r\nBcc: x")])
@example([("X-A", "a\r\n x")])
@example([("X-A", "\r\n")])
@given(st.lists(st.tuples(st.sampled_from(["Subject", "X-A", "X-B"]), text), max_size=4))
@settings(max_examples=300)
def test_whatever_the_text_is_it_is_refused_or_the_block_says_just_that(asked):
    try:
        block = write_headers(asked)
    except NotAsAskedError:
        return
    assert read(block) == asked


@given(st.lists(names.map(lambda name: Mailbox(name, "ada@example.com")), min_size=1, max_size=3))
@settings(max_examples=300)
def test_whatever_the_names_are_they_are_refused_or_the_block_says_just_those(mailboxes):
    try:
        block = write_headers([("To", tuple(mailboxes))])
    except NotAsAskedError:
        return
    assert read_mailboxes(block) == mailboxes


@pytest.mark.parametrize(
    "name",
    [
        "Société Générale des Établissements français d'outre-mer",
        "株式会社" * 10,
        "Müller und Söhne Gesellschaft für Wärmetechnik u",
        "Müller und Söhne Gesellschaft für Wärmetechnik und Lüftung, Köln",
        "é  b",
        "é" + " " * 100 + "b",
        'Zoë "Z." O\'Neill \\ Söhne, Ltd. <x@example.com>; (und Brüder): eve@example.com',
        "é" * 200,
        "☕" * 200,
    ],
)
def test_a_longer_name_that_is_not_ascii_is_read_as_it_was_asked_for(name):
    mailboxes = (ADA, Mailbox(name, "a@example.com"), Mailbox(name, "b@example.com"))
    assert read_mailboxes(write_headers([("To", mailboxes)])) == list(mailboxes)


letters = st.characters(categories=["L", "M"]) | st.sampled_from("eéßжяעمक株式한ไ")
ordinary = (
    st.lists(
        st.text(letters | st.sampled_from("'.,-"), min_size=1, max_size=30), min_size=1, max_size=12
    )
    .map(" ".join)
    .map(lambda name: name[:100].strip())
    .filter(bool)
)


@given(st.lists(ordinary, min_size=1, max_size=3))
@settings(max_examples=500)
def test_ordinary_names_are_not_refused(names):
    mailboxes = [parse_mailbox(f'"{name}" <a@example.com>') for name in names]
    assert [each.name for each in mailboxes] == names
    assert read_mailboxes(write_headers([("To", tuple(mailboxes))])) == mailboxes


def test_most_texts_are_not_refused():
    for plain in ("Grüße ☕", "x" * 998, "é" * 998, "  ", "a\u00a0b", "=?", "你好 " * 50):
        assert read(write_headers([("Subject", plain)]))[0][0] == "Subject"


@pytest.mark.parametrize(
    "hole",
    [
        "Hello\r\nBcc: eve@example.com",
        "Hello\r\n\r\nA body",
        "Hello\nBcc: eve@example.com",
        "Hello\rBcc: eve@example.com",
        "Hello\r\n there",
        "Hello\r\n \r\n there",
        "Hallo",
        "Hello\x00",
        "=?utf-8?q?Hello=0D=0ABcc:_x?=",
        "=?no-such-charset?q?Hello?=",
        "Hello" + " x" * 500,
    ],
)
def test_a_writer_with_a_hole_is_found_out(monkeypatch, hole):
    monkeypatch.setattr(header, "_written_text", lambda name, text: hole)
    monkeypatch.setattr(header, "_plain_block", lambda asked: b"")
    with pytest.raises(NotAsAskedError):
        write_headers([("Subject", "Hello"), ("X-A", "Hello")])


def test_a_writer_of_names_with_a_hole_is_found_out(monkeypatch):
    monkeypatch.setattr(header, "_written_mailbox", lambda each: f"{each.name} <{each.address}>")
    monkeypatch.setattr(header, "_plain_block", lambda asked: b"")
    with pytest.raises(NotAsAskedError):
        write_headers([("To", (Mailbox("eve@example.com,", "ada@example.com"),))])


@pytest.mark.parametrize(
    "hole",
    [
        "=?utf-8?q?Zo=C3=AB_K?= <ada@example.com>",
        "=?utf-8?q?Zo=C3=AB?= =?utf-8?q?__K?= <ada@example.com>, eve@example.com",
        "=?utf-8?q?Zo=C3=AB?= =?utf-8?q?__K?= <eve@example.com>",
        "=?utf-8?q?Zo=C3=AB?= =?utf-8?q?__K?= <ada@example.com> <eve@example.com>",
        "=?utf-8?q?Zo=C3=AB?= =?utf-8?q?__K?= (eve) <ada@example.com>",
        "=?utf-8?q?Zo=C3=AB?= =?utf-8?q?__K?= <ada@example.com>, ",
        "=?utf-8?q?Zo=C3=AB__K=0D=0ABcc:_eve?= <ada@example.com>",
        "=?utf-8?q?Zo=C3=AB__K?= <ada@example.com>\r\nBcc: eve@example.com",
        "=?utf-8?q?Zo=C3=AB__K?= <ada@example.com>\r\n\r\nA body",
        "=?no-such-charset?q?Zo=C3=AB__K?= <ada@example.com>",
        "x: =?utf-8?q?Zo=C3=AB__K?= <ada@example.com>;",
        "ada@example.com",
        "",
    ],
)
def test_a_name_or_address_that_slips_in_is_found_out(monkeypatch, hole):
    monkeypatch.setattr(header, "_written_mailbox", lambda _: hole)
    with pytest.raises(NotAsAskedError):
        write_headers([("To", (Mailbox("Zoë  K", "ada@example.com"),))])


@pytest.mark.parametrize("name", ["é\r\nBcc: eve@example.com", "é\n", "é\x00", "é\u2028"])
def test_a_name_with_a_line_break_is_refused_even_when_it_is_encoded(name):
    with pytest.raises(NotAsAskedError):
        write_headers([("To", (Mailbox(name, "ada@example.com"),))])


field_names = st.sampled_from(["Subject", "X-A", "X" * 70, "X: A", "To", "", "é", "a b", ":"])
plain_pieces = st.sampled_from(
    [
        "Hello",
        " ",
        "a",
        "x" * 30,
        "=?",
        "?=",
        "=?utf-8?q?a?=",
        ":",
        ",",
        "\r\n",
        "\r",
        "\n",
        "\t",
        "é",
    ]
)
plain_texts = st.lists(plain_pieces, max_size=6).map("".join) | st.integers(60, 80).map("x".__mul__)
mailbox_names = st.text("aB1 .,:;@<>()[]\\\"'?=_-é", max_size=8) | st.just("=?utf-8?q?a?=")
addresses = st.sampled_from(
    [
        *("ada@example.com", "a.b+c@x-y.example", "a..b@example.com", ".a@b.c", "a@b.c d", "a b"),
        *("a,b@c.d", "a@b.c\r\nX-A: b", "zoë@example.com", "=?utf-8?q?a?=@b.c", "o'hara@b.c"),
        *(f"{'a' * 80}@b.c", "a@b:c"),
    ]
)
mailboxes = st.builds(Mailbox, st.just("") | mailbox_names, addresses)


@example([("X: A", "b")])
@example([("X-A", "b"), ("", "c")])
@example([("X-A", "a\r\nX-B: b")])
@example([("X-A", "a\r\nX-B: b"), ("X-B", "b")])
@example([("X-A", "x" * 73)])
@example([("X-A", "x" * 36 + " " + "x" * 36)])
@example([("X-A", "x" * 36 + " " + "x" * 37)])
@example([("X-A", "=?utf-8?q?a?=")])
@example([("To", ())])
@example([("To", (ADA, ADA))])
@example([("To", (Mailbox("Ada", ADA.address),))])
@example([("To", (Mailbox("King, Ada", ADA.address), ADA)), ("Cc", (ADA, ADA, ADA))])
@example([("", (ADA, Mailbox("Ada", "a..b@example.com")))])
@example([("X-A", "b,\r\n c")])
@given(
    st.lists(
        st.tuples(field_names, plain_texts | st.lists(mailboxes, max_size=2).map(tuple)), max_size=3
    )
)
@settings(max_examples=500)
def test_a_plain_block_is_the_one_that_is_written_and_read_back(asked):
    if plain := header._plain_block(asked):
        assert plain == header._checked_block(asked)


def test_most_blocks_are_plain():
    named = Mailbox("Ada King", ADA.address), Mailbox("King, Ada", ADA.address), ADA
    fields = [("From", (ADA,)), ("To", named), ("Subject", "How are you?"), ("X", "x" * 75)]
    assert header._plain_block(fields) == header._checked_block(fields)


@example([Mailbox("King, Ada", ADA.address), ADA])
@example([Mailbox("", "a..b@example.com")])
@example([Mailbox("=?utf-8?q?a?=", ADA.address)])
@given(st.lists(mailboxes, min_size=1, max_size=3))
@settings(max_examples=500)
def test_in_plain_mailboxes_the_whole_grammar_finds_what_was_asked_for(asked):
    raw = ", ".join(map(header._written_mailbox, asked))
    if "=?" not in raw and all(map(header._is_plain, asked)):
        found = header._structure("To", raw)
        assert found == [("".join(each.name.split()), each.address) for each in asked]


def test_most_mailboxes_are_plain():
    for name in ("", "Ada", "Ada King", "King, Ada", "Dr. Ada K. (London) <ada@example.com>"):
        assert header._is_plain(Mailbox(name, "ada.king+x@mail.example.com"))
