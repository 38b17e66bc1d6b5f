"""Text made harmless for a terminal.

A log holds what strangers sent: an escape sequence in a subject could repaint the screen of who
reads the log, or hide a line from him. So control characters, and those that turn the direction of
writing, are shown as escapes and never sent. Only for people: data for programs stays as it is.
"""

import re

_CONTROLS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def plain(text: str) -> str:
    r"""The text with controls written out: an escape becomes the four characters `\x1b`."""
    return _CONTROLS.sub(lambda found: found[0].encode("unicode-escape").decode("ascii"), text)


def plain_json(text: str) -> str:
    """JSON that shows nothing but itself: its controls as JSON's own escapes, so it stays equal."""
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
