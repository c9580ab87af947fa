"""Figures of what is recommended: items by rank, and genres against what users watched before."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Int

from sprec.records.encoded_ids import decode_ids
from sprec.report.figures import charts
from sprec.report.figures.charts import TOP
from sprec.report.figures.figure_kinds import Figure, FigureData, MissingPart, Panel, describe_series
from sprec.report.figures.series import ArmSeries, cumulative_share, genre_shares, mean_cumulative_share
from sprec.report.figures.style import INITIAL, INK, ModelStyle
from sprec.report.tables.table import Cell, Table

# Points of an exposure curve at most.
POINTS = 60
# Ranks whose shares stand in the table and the text alternative.
READ_RANKS = (1, TOP, 10, 30, 100)
CHOSEN = ModelStyle("what users chose next", INK, "square", (1, 2))
HISTORY = ModelStyle("histories", INK, "stroke", (1, 0))
NO_LISTS = "the records hold no recommendation lists (schema 1); run again to have them"
NO_GENRES = "the records hold no genre shares: the dataset has no genres, or they are of schema 1"

Ranks = Int[np.ndarray, " ranks"]
# Genre shares by model.
Shares = Mapping[str, Mapping[str, float]]


def exposure_figure(data: FigureData) -> list[Figure | MissingPart]:
    """Return the over-recommendation curves: which share the most recommended items get together."""
    title = "Over-recommendation"
    read = {k: _share_curves(data, k, np.array(READ_RANKS)) for k in data.cutoffs}
    # What users chose next needs no lists, so that it alone is no reason for a panel.
    known = {k: curves for k, curves in read.items() if set(curves) - {CHOSEN.name}}
    if not known:
        return [MissingPart(title, NO_LISTS)]
    heads = ("model", "list length", *(f"first {rank}" for rank in READ_RANKS))
    rows: list[tuple[Cell, ...]] = [
        (name, k, *shares) for k, curves in known.items() for name, shares in curves.items()
    ]
    return [
        Figure(
            "ranks",
            title,
            f"Items are ordered by how often they are recommended; at the dotted line the {TOP} first ones' "
            "share is ORRatio where no place of a list is empty. "
            "A curve further down and right spreads recommendations over more items.",
            tuple(_exposure_panel(data, k, curves) for k, curves in known.items()),
            Table("Share of recommendations that the first items get", heads, tuple(rows), names=2),
            (CHOSEN, INITIAL, *data.styles),
            "line",
        )
    ]


def genre_figure(data: FigureData) -> list[Figure | MissingPart]:
    """Return genre shares in the users' histories and in their lists after the last iteration."""
    title = "Genres: histories and recommendations"
    history = next((record.history_genres for record in data.records if record.history_genres), {})
    known = {k: shares for k in data.cutoffs if (shares := _model_shares(data, k))}
    if not history or not known:
        return [MissingPart(title, NO_LISTS if history else NO_GENRES)]
    rows: list[tuple[Cell, ...]] = [
        (genre, k, share, *(own[genre] for own in shares.values()))
        for k, shares in known.items()
        for genre, share in history.items()
    ]
    heads = ("genre", "list length", "histories", *next(iter(known.values())))
    return [
        Figure(
            "genres",
            title,
            "The upright line is a genre's share in the users' histories (GH), a mark its share in what they "
            "are recommended (GP): the further apart, the less alike. MGU is the mean distance.",
            tuple(_genre_panel(history, shares, data, k) for k, shares in known.items()),
            Table("Genre shares", heads, tuple(rows), names=2),
            (HISTORY, replace(INITIAL, shape="circle"), *data.styles),
            "mark",
        )
    ]


def _share_curves(data: FigureData, k: int, ranks: Ranks) -> dict[str, list[float]]:
    """Return each model's cumulative shares at these ranks; models whose lists are unknown are left out."""
    curves = {}
    if packed := next((record.targets for record in data.records if record.targets), ""):
        curves[CHOSEN.name] = cumulative_share(decode_ids(packed, 1), ranks).tolist()
    groups = [(INITIAL.name, data.initial.iterations[0])] if data.initial else []
    for name, group in [*groups, *((arm.name, arm.last) for arm in data.series)]:
        if (curve := mean_cumulative_share(group, k, ranks)) is not None:
            curves[name] = curve.tolist()
    return curves


def _exposure_panel(data: FigureData, k: int, read: Mapping[str, Sequence[float]]) -> Panel:
    # Fewer points towards the end, where the curve is flat and the axis dense.
    items = max(data.records[0].dataset.items, 2)
    ranks = np.unique(np.geomspace(1, items, POINTS).round().astype(np.int64))
    points = [
        {"arm": name, "rank": int(rank), "share": share}
        for name, shares in _share_curves(data, k, ranks).items()
        for rank, share in zip(ranks, shares, strict=True)
    ]
    chart = charts.exposure_chart(points, (CHOSEN, INITIAL, *data.styles), title=f"Lists of {k}")
    listed = ", ".join(map(str, READ_RANKS))
    clauses = "; ".join(describe_series(name, shares, ".0%") for name, shares in read.items())
    return Panel(chart, f"Share of recommendations of the {listed} most recommended items. {clauses}.")


def _model_shares(data: FigureData, k: int) -> dict[str, dict[str, float]]:
    """Return GP@k per model, averaged over seeds; without the models whose lists are unknown."""
    models = [(INITIAL.name, data.initial, 0)] if data.initial else []
    models += [(arm.name, arm, max(arm.iterations)) for arm in data.series]
    shares = {name: _mean_shares(arm, iteration, k) for name, arm, iteration in models}
    return {name: own for name, own in shares.items() if own}


def _mean_shares(arm: ArmSeries, iteration: int, k: int) -> dict[str, float]:
    seeds = [genre_shares(run, evaluation, k) for run, evaluation in arm.at(iteration)]
    known = [shares for shares in seeds if shares]
    # A mean over some of the seeds would not be the mean that the other figures show.
    if not known or len(known) < len(seeds):
        return {}
    return {genre: statistics.fmean(shares[genre] for shares in known) for genre in known[0]}


def _genre_panel(history: Mapping[str, float], shares: Shares, data: FigureData, k: int) -> Panel:
    order = sorted(history, key=lambda genre: -history[genre])
    points = [
        {"arm": name, "genre": genre, "share": own[genre]} for name, own in shares.items() for genre in order
    ]
    styles = [style for style in (INITIAL, *data.styles) if style.name in shares]
    clauses = "; ".join(
        describe_series(name, [own[genre] for genre in order], ".0%")
        for name, own in {"histories": history, **shares}.items()
    )
    alternative = f"Genre shares with lists of {k}, in the order {', '.join(order)}. {clauses}."
    ordered = {genre: history[genre] for genre in order}
    return Panel(charts.genre_chart(ordered, points, styles, title=f"Lists of {k}"), alternative)
