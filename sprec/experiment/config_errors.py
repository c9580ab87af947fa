"""One line for a mistake in a configuration: the key, what is wrong with it, and the nearest name."""

import re
from collections.abc import Callable, Mapping, Sequence

from sprec.boundaries import describe, suggest

Flat = Callable[[], Sequence[str]]
ADDED = ("sweep", "search", "experiment", "plan", "describe")
"""What a command line adds to the configuration, with a plus."""


def describe_config_error(text: str, known_keys: Flat) -> str:
    """Return one line for what Hydra says of a command line, which may run over a page.

    `known_keys` returns the dotted keys of the default configuration; it is called only where one is unknown.
    """
    # Hydra's errors carry text and nothing else, so these patterns are those of Hydra 1.3's messages.
    if match := re.search(r"Could not find '([^']+)/([^'/]+)'", text):
        group, option = match.groups()
        options = re.findall(r"^\t(\S+)$", text, re.M)
        near = suggest(option, options) or f"; choose one of {', '.join(options)}" if options else ""
        return f"{group}={option}: no such option of {group}{near}"
    if match := re.search(r"Could not override '([^'@]+)", text):
        return _unknown_key(match[1], known_keys)
    if match := re.search(r"Key '[^']*' is not in struct\s+full_key: (\S+)", text):
        return _unknown_key(match[1], known_keys)
    if match := re.search(r"Ambiguous value for argument '([^']+)'", text):
        return f"{match[1]}: several values make a sweep; add -m as the last word, or put a list into [ ]"
    if match := re.search(r"Error parsing override '(\+\w+)'", text):
        return f"{match[1]}: no value; write {match[1]}=true"
    return text.strip().partition("\n")[0]


def _unknown_key(key: str, known_keys: Flat) -> str:
    if key in ADDED:
        return f"{key}: write it with a plus, as +{key}=…"
    keys = [*known_keys()]
    groups = {name.split(".")[0] for name in keys}
    near = suggest(key, list(dict.fromkeys([*groups, *keys]))) or suggest(key.split(".")[-1], keys)
    return f"{key}: no such key{near or '; see --help for all keys'}"


def flatten_keys(config: Mapping[str, object], prefix: str = "") -> list[str]:
    """Return the dotted keys of a nested configuration, those of groups included.

    >>> flatten_keys({"budget": {"iterations": 2}, "seed": 0})
    ['budget', 'budget.iterations', 'seed']
    """
    keys: list[str] = []
    for name, value in config.items():
        keys.append(f"{prefix}{name}")
        if isinstance(value, Mapping):
            keys += flatten_keys(value, f"{prefix}{name}.")
    return keys


def describe_failure(error: BaseException) -> str:
    """Return one line for an error that no boundary foresaw."""
    return f"{describe(error)}; this is a fault of sprec, or of a class that the configuration names"
