"""What is wrong with titles of released rows, and how to put it right."""

import html
import re

ENTITY = re.compile(r"&(#\d+|#x[0-9a-fA-F]+|\w+);")
HTML = (
    "a|abbr|b|big|blockquote|body|br|button|center|code|dd|div|dl|dt|em|embed|font|form|h[1-6]|head|hr|html|i|"
    "iframe|img|input|label|li|link|meta|object|ol|option|p|param|pre|script|select|small|span|strike|strong|"
    "style|sub|sup|table|tbody|td|textarea|th|thead|title|tr|tt|u|ul|video"
)
# Only HTML's own names, in small letters as pages have them: "<COPYCAT>" is a title.
TAG = re.compile(rf"</?({HTML})\b[^<>]*(>|=|$)|/>\s*$")


def repair_mojibake(text: str) -> str:
    """Return the text that UTF-8 bytes were meant to be, where they were read as Latin-1.

    Text that is no such misreading comes back unchanged.

    >>> repair_mojibake("AmÃ©lie"), repair_mojibake("Amélie")
    ('Amélie', 'Amélie')
    """
    if text.isascii():
        return text
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def repair_entities(text: str) -> str:
    """Return the text with HTML entities that end in a semicolon replaced by their characters.

    >>> repair_entities("Rock &amp; Roll, Q&A")
    'Rock & Roll, Q&A'
    """
    return ENTITY.sub(lambda entity: html.unescape(entity[0]), text)


def is_html(title: str) -> bool:
    """Tell whether a title is a piece of a web page rather than a name.

    >>> [is_html(title) for title in ('<span class="a-size-medium"', 'Mini Lp" />', "I <3 You", "<COPYCAT>")]
    [True, True, False, False]
    """
    return TAG.search(title) is not None


def is_fragment(title: str) -> bool:
    """Tell whether a title is what a regular expression left of one with quotes inside.

    >>> [is_fragment(title) for title in ("", " Cats (1998)", ", ", "Best Of ", "Cats")]
    [True, True, True, True, False]
    """
    return title != title.strip() or not title.strip(", ")
