"""Figures of who is recommended: items by rank, genres against what users watched before."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sprec.records.encoded_ids import decode_ids
from sprec.records.run_record import RunRecord
from sprec.report.figures import charts
from sprec.report.figures.charts import TOP, Point
from sprec.report.figures.figure_kinds import Absent, Figure, Panel, Scene, told
from sprec.report.figures.series import Trace, exposure, genre_shares, mean_exposure
from sprec.report.figures.style import INITIAL, INK, Look
from sprec.report.tables.table import Cell, Table

POINTS = 60
"""Points of an exposure curve at most."""
CHOSEN = Look("what users chose next", INK, "square", (1, 2))
HISTORY = Look("histories", INK, "stroke", (1, 0))
UNKNOWN = "the records hold no recommendation lists (schema 1); run again to have them"


def ranks(scene: Scene) -> list[Figure | Absent]:
    """Return the over-recommendation curves: which share the most recommended items get together."""
    title = "Over-recommendation"
    panels = [each for k in scene.cutoffs if (each := _rank_panel(scene, k))]
    if not panels:
        return [Absent(title, UNKNOWN)]
    return [
        Figure(
            "ranks",
            title,
            f"Items are ordered by how often they are recommended; at the dotted line the {TOP} first ones' "
            "share is ORRatio. A curve further down and right spreads recommendations over more items.",
            tuple(panel for panel, _ in panels),
            _rank_table(scene, [rows for _, rows in panels]),
            (CHOSEN, INITIAL, *scene.looks),
            "line",
        )
    ]


def genres(scene: Scene) -> list[Figure | Absent]:
    """Return genre shares in the users' histories and in their lists after the last iteration."""
    title = "Genres: histories and recommendations"
    shares = {k: _all_shares(scene, k) for k in scene.cutoffs}
    known = {k: found for k, found in shares.items() if found}
    history = next((record.history_genres for record in scene.records if record.history_genres), {})
    if not history:
        return [
            Absent(
                title, "the records hold no genre shares: the dataset has no genres, or they are of schema 1"
            )
        ]
    if not known:
        return [Absent(title, UNKNOWN)]
    return [
        Figure(
            "genres",
            title,
            "The upright line is a genre's share in the users' histories (GH), a mark its share in what they "
            "are recommended (GP): the further apart, the less alike. MGU is the mean distance.",
            tuple(_genre_panel(history, found, scene, k) for k, found in known.items()),
            _genre_table(history, known),
            (HISTORY, replace(INITIAL, shape="circle"), *scene.looks),
            "mark",
        )
    ]


def _ticks(items: int) -> "np.ndarray[Any, np.dtype[np.int64]]":
    """Return ranks up to `items`: the first ones all, then ever fewer."""
    return np.unique(np.geomspace(1, max(items, 2), POINTS).round().astype(np.int64))


def _curves(scene: Scene, k: int, at: Any) -> dict[str, list[float]]:
    """Return each model's cumulative shares at these ranks, the initial SFT from all runs."""
    found = {}
    if (chosen := _targets(scene)) is not None:
        found[CHOSEN.name] = exposure(chosen, at).tolist()
    models = [(INITIAL.name, _initial(scene)), *((trace.name, trace.last) for trace in scene.traces)]
    for name, group in models:
        if (curve := mean_exposure(group, k, at)) is not None:
            found[name] = curve.tolist()
    return found


def _targets(scene: Scene) -> Any:
    packed = next((record.targets for record in scene.records if record.targets), "")
    return decode_ids(packed, 1) if packed else None


def _initial(scene: Scene) -> tuple[Any, ...]:
    """Return the evaluations of iteration 0, one for each seed, of the arm that has most of them."""
    groups = [trace.iterations[0] for trace in scene.traces if 0 in trace.iterations]
    return max(groups, key=len, default=())


def _rank_panel(scene: Scene, k: int) -> tuple[Panel, list[tuple[Cell, ...]]] | None:
    at = _ticks(scene.records[0].dataset.items)
    found = _curves(scene, k, at)
    if not set(found) - {CHOSEN.name}:
        return None
    points = [
        {"arm": name, "rank": int(rank), "share": share}
        for name, shares in found.items()
        for rank, share in zip(at, shares, strict=True)
    ]
    chart = charts.ranks(points, (CHOSEN, INITIAL, *scene.looks), title=f"Lists of {k}")
    # the table and the alternative give these ranks, which every curve has
    wanted = [1, TOP, 10, 30, 100]
    read = _curves(scene, k, np.array(wanted))
    said = "; ".join(told(name, shares, ".0%") for name, shares in read.items())
    alternative = (
        f"Share of recommendations of the {', '.join(map(str, wanted))} most recommended items. {said}."
    )
    rows: list[tuple[Cell, ...]] = [(name, k, *shares) for name, shares in read.items()]
    return Panel(chart, alternative), rows


def _rank_table(scene: Scene, rows: Sequence[Sequence[tuple[Cell, ...]]]) -> Table:
    heads = ("model", "list length", *(f"first {rank}" for rank in (1, TOP, 10, 30, 100)))
    return Table(
        "Share of recommendations that the first items get",
        heads,
        tuple(r for each in rows for r in each),
        names=2,
    )


def _all_shares(scene: Scene, k: int) -> dict[str, dict[str, float]]:
    """Return GP@k per model, averaged over seeds; without the models whose lists are unknown."""
    first = max(
        (trace for trace in scene.traces if 0 in trace.iterations),
        key=lambda t: len(t.iterations[0]),
        default=None,
    )
    models = [(INITIAL.name, first, 0)] if first else []
    models += [(trace.name, trace, max(trace.iterations)) for trace in scene.traces]
    found = {name: _share(trace, iteration, k) for name, trace, iteration in models}
    return {name: shares for name, shares in found.items() if shares}


def _share(trace: Trace, iteration: int, k: int) -> dict[str, float]:
    pairs = [(run, each) for run in trace.runs for each in trace.iterations[iteration] if _of(run, each)]
    found = [shares for run, each in pairs if (shares := genre_shares(run, each, k))]
    if not found or len(found) < len(pairs):
        return {}
    return {genre: statistics.fmean(shares[genre] for shares in found) for genre in found[0]}


def _of(run: RunRecord, evaluation: Any) -> bool:
    return any(each is evaluation for each in run.evaluations)


def _genre_panel(
    history: Mapping[str, float], found: Mapping[str, Mapping[str, float]], scene: Scene, k: int
) -> Panel:
    order = sorted(history, key=lambda genre: -history[genre])
    ordered = {genre: history[genre] for genre in order}
    points = list(_genre_points(order, found))
    looks = [look for look in (INITIAL, *scene.looks) if look.name in found]
    series = {"histories": history, **found}
    said = "; ".join(told(name, [each[genre] for genre in order], ".0%") for name, each in series.items())
    alternative = f"Genre shares with lists of {k}, in the order {', '.join(order)}. {said}."
    return Panel(charts.genres(ordered, points, looks, title=f"Lists of {k}"), alternative)


def _genre_points(order: Sequence[str], found: Mapping[str, Mapping[str, float]]) -> Iterator[Point]:
    for name, shares in found.items():
        for genre in order:
            yield {"arm": name, "genre": genre, "share": shares[genre]}


def _genre_table(
    history: Mapping[str, float], known: Mapping[int, Mapping[str, Mapping[str, float]]]
) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (genre, k, share, *(shares[genre] for shares in found.values()))
        for k, found in known.items()
        for genre, share in history.items()
    ]
    heads = ("genre", "list length", "histories", *next(iter(known.values())))
    return Table("Genre shares", heads, tuple(rows), names=2)
