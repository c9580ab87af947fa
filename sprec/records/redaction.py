"""Removes secrets from configurations and command lines before they are written down."""

import re
from collections.abc import Mapping, Sequence

HIDDEN = "***"
"""What replaces a secret."""

_WORDS = (
    r"(?:api|access|private)[_-]?key|secret|passw(?:or)?d|passphrase|credential"
    # With `[a-z]*pwd` as in curl's `userpwd`.
    r"|(?<![a-z])(?:auth(?:orization)?|[a-z]*pwd|jwt|bearer)(?![a-z])|signature|(?<![a-z])sig(?![a-z])"
)
_SECRET_NAME = re.compile(rf"{_WORDS}|token$", re.I)
_SPECIAL_TOKEN = re.compile(r"(?:^|[_.-])(?:pad|bos|eos|unk|sep|cls|mask|stop|image)[_-]token$", re.I)
# A stranger's record may hold words of megabytes. So a scheme or name begins at one place of a word alone,
# and does not give back what it has matched: else the time would grow with the square of the length.
# Hydra's sweeps put a backslash before colons.
_URL_CREDENTIALS = re.compile(r"(?<=[a-z0-9+.\\-])(://)[^/\s?#]+@", re.I)
# A password may hold a slash as well. What looks like a port is one, and an @ in a path is no secret.
_SLASH_IN_PASSWORD = re.compile(
    r"(?<=[a-z0-9+.\\-])(://)[^/\s?#:@\[]*:(?!\d{0,5}/)(?:(?!://)[^\s?#])*@", re.I
)
# Wider than `is_secret`, which `_hide_value` asks of each name that is found: its last part has the word.
_NAME = rf"(?:[\w-]*+[.+])*+(?=[\w-]*?(?:{_WORDS}|token))[\w-]++"
# Without quotes a value ends where the next part of a URL's query, a list or a mapping may begin.
_QUOTED = r""""(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'"""
# A quote that a backslash leaves open, as shells do not read it, or that nobody closes.
_OPEN = r""""[^"]*"?|'[^']*'?"""
_VALUE = rf"""(?:{_QUOTED}|{_OPEN}|[^\s&}}\]"']+)"""
_ASSIGNED = re.compile(rf"""(?<![\w.+-])({_NAME}["']?\s*[=:]\s*){_VALUE}""", re.I)
_KEY = re.compile(r"[+~-]{0,2}[\w.@/:-]+")
# Inside an override's braces a value may hold spaces, as it may in the names that Hydra joins with commas.
_IN_BRACES = re.compile(rf"""(?<![\w.+-])({_NAME}\s*:\s*)(?:{_QUOTED}|{_OPEN}|[^,{{}}\[\]"']+)""", re.I)
_OVERRIDE = re.compile(rf"((?:{_QUOTED}|.)+?)(?:,(?={_KEY.pattern}=)|\Z)", re.S)
# In an address alone `key` is a secret's name, and a header's value has its kind first.
_IN_URL = re.compile(r"""([?&]key=)[^&\s"']+""", re.I)
_HEADER = re.compile(r"""(authorization["']?\s*[=:]\s*["']?)(?:[a-z]+\s+)?[^\s"']+""", re.I)
# What begins with a dash is the next flag, not this one's value.
_FLAG = re.compile(rf"((?<!\S)--{_NAME}\s+)(?!-){_VALUE}", re.I)


def is_secret(name: str) -> bool:
    """Return whether a value of this name must not be written down.

    A tokenizer's special tokens and counts of tokens are not secrets.

    >>> [is_secret(name) for name in ("api_key", "HF_TOKEN", "eos_token", "max_new_tokens")]
    [True, True, False, False]
    """
    return bool(_SECRET_NAME.search(name)) and not _SPECIAL_TOKEN.search(name)


def redact(value: object, name: str = "") -> object:
    """Return a copy of a nested configuration with secrets replaced by `***`.

    `name` is the key of `value`. Empty and missing secrets stay as they are, so that the record still shows
    that there was none. Mappings come back as dict, sequences as list.

    >>> redact({"tracker": {"api_key": "abc", "url": "https://me:abc@host/x"}})
    {'tracker': {'api_key': '***', 'url': 'https://***@host/x'}}
    """
    if is_secret(name):
        # A switch such as `use_token: true` gives nothing away.
        return value if value is None or value == "" or isinstance(value, bool) else HIDDEN
    if isinstance(value, Mapping):
        return {str(key): redact(inner, str(key)) for key, inner in value.items()}
    if isinstance(value, str):
        if name == "override_dirname":
            return ",".join(map(redact_word, _OVERRIDE.findall(value)))
        return redact_text(value)
    if isinstance(value, Sequence):  # lists of overrides hold words of a command line
        return _redact_list(value)
    return value


def _redact_list(values: Sequence[object]) -> list[object]:
    """Return the items without secrets; the item after `--password` and the like is one."""
    flags = ["", *(one if isinstance(one, str) else "" for one in values)]
    return [
        HIDDEN
        if flag.startswith("--") and "=" not in flag and is_secret(flag)
        else redact_word(value)
        if isinstance(value, str)
        else redact(value)
        for flag, value in zip(flags, values, strict=False)
    ]


def redact_text(text: str) -> str:
    """Return a command line or message with secrets replaced by `***`.

    These are credentials in URLs, and values in `name=value`, `name: value` and `--name value` whose name
    is that of a secret.

    >>> redact_text("sprec tracker.api_key=abc --password abc url=https://me:abc@host/x")
    'sprec tracker.api_key=*** --password *** url=https://***@host/x'
    """
    if not any(mark in text for mark in ("=", ":", "--")):
        return text  # without a name and a value; so are most values of a configuration
    for address in (_URL_CREDENTIALS, _SLASH_IN_PASSWORD):
        text = address.sub(rf"\1{HIDDEN}@", text)
    text = _HEADER.sub(rf"\1{HIDDEN}", _IN_URL.sub(rf"\1{HIDDEN}", text))
    return _FLAG.sub(_hide_value, _ASSIGNED.sub(_hide_value, text))


def redact_word(word: str) -> str:
    """Return a word of a command line without secrets: of `name=value` the value goes to the word's end.

    >>> redact_word("tracker.api_key='a b'"), redact_word("budget.sft_rows=8")
    ('tracker.api_key=***', 'budget.sft_rows=8')
    """
    name, equals, value = word.partition("=")
    if equals and value and _KEY.fullmatch(name) and is_secret(name):
        return f"{name}={HIDDEN}"
    if value.startswith(("{", "[")):
        word = _IN_BRACES.sub(_hide_value, word)
    return redact_text(word)


def _hide_value(match: re.Match[str]) -> str:
    name = match[1].rstrip(" =:\"'\t\n")
    hidden = (
        match[0].removeprefix(match[1]).rstrip(",") == HIDDEN
    )  # already, and what follows is no part of it
    return match[1] + HIDDEN if is_secret(name) and not hidden else match[0]
