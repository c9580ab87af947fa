"""Which interactions count: a window of time, and a core of users and items with enough of them. Pure."""

import logging
from dataclasses import dataclass
from datetime import UTC, date, datetime

import polars as pl

from sprec.data.interactions import Interactions

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Filters:
    """Keeps interactions from `since` on and before `until` (ISO dates, UTC; None: no bound), then the core.

    `core` is the number of interactions that each user and each item left must have; 0 keeps all.
    `since` moves back by a year at a time until `items_min` items are left, as D3 does (Bao et al.
    2024); 0 leaves it where it is.
    """

    core: int = 0
    since: str | None = None
    until: str | None = None
    items_min: int = 0

    def __post_init__(self) -> None:
        for name in ("since", "until"):
            if (day := getattr(self, name)) is not None:
                _check_day(name, day)
        if self.items_min and self.since is None:
            raise ValueError(f"items_min = {self.items_min} widens a window that has no start; set since")

    def __call__(self, read: Interactions) -> tuple[Interactions, dict[str, int]]:
        """Return what is left, and counts of what is not.

        Where a filter is on, the catalogue keeps the items that occur in what is left. Counted are
        `outside_window` (interactions), and `core_interactions`, `core_users` and `core_items`.
        Raises `ValueError` where nothing is left, or all there is has fewer than `items_min` items.
        """
        if not (self.core or self.since or self.until):
            return read, {}
        inside, core = self._widen_window(read.frame)
        if core.is_empty():
            raise ValueError(
                f"{read.events_file}: no interaction is left by {self}; use a smaller core or a wider window"
            )
        drops = {"outside_window": read.frame.height - inside.height}
        drops |= {"core_interactions": inside.height - core.height}
        drops |= {
            f"core_{name}s": inside[name].n_unique() - core[name].n_unique() for name in ("user", "item")
        }
        self._log_rare_item(read, inside, core)
        return read.restrict_to(core), drops

    def _widen_window(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return the interactions of the first window that is wide enough, and their core."""
        start, end = (None if day is None else date.fromisoformat(day) for day in (self.since, self.until))
        widest = select_window(frame, None, end).height
        while True:
            inside = select_window(frame, start, end)
            core = k_core(inside, self.core)
            items = core["item"].n_unique()
            if start is None or items >= self.items_min:
                return inside, core
            # A window that holds every interaction cannot grow: without this the loop would not end.
            if inside.height == widest:
                raise ValueError(
                    f"items_min = {self.items_min}, but only {items} items are left of all interactions; "
                    "lower items_min or core"
                )
            # polars takes 29 February to the 28th of the year before, where `date.replace` raises.
            start = pl.Series([start]).dt.offset_by("-1y")[0]
            log.info("%d items are fewer than %d; the window now starts on %s", items, self.items_min, start)

    def _log_rare_item(self, read: Interactions, inside: pl.DataFrame, core: pl.DataFrame) -> None:
        """Log one item that was too rare, by its title."""
        rare = inside.join(core, on="item", how="anti").group_by("item").len().sort("len", "item")
        if rare.height:
            item, count = rare.row(0)
            fault = f"field 'item': {read.catalog.titles[item]!r} occurs {count} times"
            log.info("%s: %s; core = %d leaves out %d items", read.events_file, fault, self.core, rare.height)


NO_FILTERS = Filters()


def select_window(frame: pl.DataFrame, since: date | None, until: date | None) -> pl.DataFrame:
    """Return the interactions from the start of day `since` until before the start of day `until`, in UTC."""
    if since is not None:
        frame = frame.filter(pl.col("time") >= _seconds(since))
    return frame if until is None else frame.filter(pl.col("time") < _seconds(until))


def k_core(frame: pl.DataFrame, core: int) -> pl.DataFrame:
    """Return the largest part in which each user and each item has at least `core` interactions.

    Users and items with fewer are left out repeatedly until none is left; repeated interactions count.
    """
    rows = -1
    while core > 1 and frame.height != rows:
        rows = frame.height
        # Users and items go at once: the core that is left is the same in whichever order they go.
        frame = frame.filter(*(pl.len().over(name) >= core for name in ("user", "item")))
    return frame


def _check_day(name: str, day: str) -> None:
    try:
        date.fromisoformat(day)
    except ValueError:
        raise ValueError(f"{name} = {day!r} is no day; write it as in 2018-11-01") from None


def _seconds(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
