"""Records of older schemas, brought to the present one: parts that they lack are empty."""

from collections.abc import Callable, Mapping

Document = Mapping[str, object]

ITEM_COLUMNS = ("ids", "titles", "popularity", "genres", "genre_sets")
"""Of schema 2."""


def _from_1(document: Document) -> Document:
    """Add the parts of schema 2: the lists behind the scores, and what figures and explanations need."""
    items: dict[str, list[object]] = {
        "ids": [],
        "titles": [],
        "popularity": [],
        "genres": [],
        "genre_sets": [],
    }
    empty = {"targets": "", "tracker": "", "history_genres": {}, "shown": [], "curves": {}}
    changed: dict[str, object] = {**document, **empty, "items": items, "schema": 2}
    evaluations = document.get("evaluations")
    if isinstance(evaluations, list):
        changed["evaluations"] = [
            {**each, "lists": "", "written": []} if isinstance(each, dict) else each for each in evaluations
        ]
    return changed


STEPS: Mapping[int, Callable[[Document], Document]] = {1: _from_1}
"""What brings a record of each older schema one schema on."""


def migrated(document: Document, schema: int) -> Document:
    """Return the document as `schema` has it; one that is newer, or has no way there, comes back as it is."""
    while type(number := document.get("schema")) is int and number != schema and number in STEPS:
        document = STEPS[number](document)
    return document
