"""From proposed titles to the pairs that are trained on, and what was dropped on the way."""

from collections.abc import Sequence

import polars as pl

from sprec.data.catalog import Catalog
from sprec.data.examples import Example

SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "history": pl.List(pl.Int32),
    "answers": pl.List(pl.String),
}


def build_pairs(
    examples: Sequence[Example],
    rejected: Sequence[Sequence[str]],
    catalog: Catalog,
    *,
    count: int,
    keep_equal_to_target: bool,
) -> tuple[pl.DataFrame, dict[str, int]]:
    """Return each row's history and answers, chosen title first then `count` rejected ones, and the drops.

    A row is dropped for the first of these that holds: it has no rejected title (`no_title`), fewer than
    `count` (`too_few`), or its target among them (`equal_to_target`; with `keep_equal_to_target` it
    stays and counts as `equal_to_target_kept`). `off_catalog_kept` counts kept rows with a title that
    the catalogue lacks. `ValueError` where no row is left.
    """
    pairs: list[tuple[list[int], list[str]]] = []
    # Reasons that never occurred stand in the record too, as 0.
    drops = dict.fromkeys(
        ("no_title", "too_few", "equal_to_target", "equal_to_target_kept", "off_catalog_kept"), 0
    )
    for example, titles in zip(examples, rejected, strict=True):
        target = catalog.titles[example.target]
        reason = _drop_reason(target, titles, count, keep_equal_to_target)
        if reason:
            drops[reason] += 1
            continue
        drops["equal_to_target_kept"] += target in titles
        drops["off_catalog_kept"] += any(catalog.find(title) is None for title in titles)
        pairs.append((list(example.history), [target, *titles]))
    if not pairs:
        dropped = ", ".join(f"{reason} {number}" for reason, number in drops.items() if number)
        raise ValueError(
            f"no pair is left of {len(examples)} rows ({dropped}); choose other negatives, fewer by "
            "negatives.count, or decoding=sampled where the model is to write several titles"
        )
    return pl.DataFrame(pairs, schema=SCHEMA, orient="row"), drops


def _drop_reason(target: str, titles: Sequence[str], count: int, keep_equal_to_target: bool) -> str:
    """Return why the row is dropped, "" where it is not."""
    if len(titles) < count:
        return "too_few" if titles else "no_title"
    return "equal_to_target" if target in titles and not keep_equal_to_target else ""
