"""What a stranger's record may build: the objects that `conf/` offers, and the downloads that it names."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from sprec.caches import conf_folder

_TARGET = re.compile(r"_target_:\s*([\w.]+)")
_DOWNLOADS = ("Archive", "Wheel")
"""Sources whose settings decide what is fetched, and from where."""


def check_offered(config: Mapping[str, Any]) -> None:
    """Pass if every object of a recorded configuration is one that `conf/` offers; else raise `ValueError`.

    A record is data: it may choose among what this installation offers, and name no other code to run.
    """
    # Hydra resolves interpolations as it builds: `${oc.env:TOKEN}` would read this machine's secrets.
    for where, value in _walk(config):
        if isinstance(value, str) and "${" in value:
            raise ValueError(f"{where} is {value[:80]!r}; a record holds values and no interpolations")
    text = _conf_text()
    offered = set(_TARGET.findall(text))
    for where, node in _walk(config):
        if not isinstance(node, Mapping) or "_target_" not in node:
            continue
        target = node["_target_"]
        # Arguments without a name would get past the check of downloads below.
        if not isinstance(target, str) or target not in offered or "_args_" in node:
            raise ValueError(
                f"{where}._target_ is {str(target)[:80]!r}, which conf/ does not offer; a record may name no "
                "other code: add an option to conf/ if it is yours"
            )
        if target.endswith(_DOWNLOADS):
            for name, value in node.items():
                if isinstance(value, str) and not re.search(
                    rf"(?<![\w./-]){re.escape(value)}(?![\w./-])", text
                ):
                    raise ValueError(
                        f"{where}.{name} is {value[:80]!r}, which conf/ does not offer; a record may name no "
                        "other download: add an option to conf/ if it is yours"
                    )


def _walk(value: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    """Yield a value and all that it holds, each with its dotted key."""
    yield where, value
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _walk(inner, f"{where}.{name}" if where else str(name))
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            yield from _walk(inner, f"{where}[{number}]")


@cache
def _conf_text() -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(conf_folder().rglob("*.yaml")))
