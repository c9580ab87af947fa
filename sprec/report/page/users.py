"""Who got what: for some users their history, the true next item, and titles before and after self-play."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Int

from sprec.records.run_record import Evaluation, RunRecord, SampledUser
from sprec.report.figures.figure_kinds import Absent
from sprec.report.figures.series import Trace, cutoffs, lists

USERS = 6
"""Users that a page shows unasked."""

Lists: TypeAlias = Int[np.ndarray, "users k"]


@dataclass(frozen=True)
class Given:
    """A recommended title: whether it is the true next one, and how many users have it in first place."""

    title: str
    hit: bool
    firsts: int


@dataclass(frozen=True)
class Answer:
    """What one model gave a user: the title it wrote ("" if unknown), if that exists, and its list."""

    model: str
    written: str
    exists: bool
    hit: bool
    given: tuple[Given, ...]


@dataclass(frozen=True)
class Person:
    """A scored user by row number, with titles of the history, oldest first, and of the true next item."""

    row: int
    history: tuple[str, ...]
    target: str
    answers: tuple[Answer, ...]


@dataclass(frozen=True)
class People:
    """Some of `n` scored users, the seed whose models they are shown for, and the arms left out."""

    people: tuple[Person, ...]
    n: int
    seed: int
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class _Model:
    name: str
    record: RunRecord
    evaluation: Evaluation
    ids: Lists | None
    firsts: Mapping[int, int]


def people(traces: Sequence[Trace], rows: Sequence[int] = ()) -> People | Absent:
    """Return the users of these row numbers, or `USERS` spread over those that the records hold.

    All models are of one seed and saw the same users; arms without such a run are left out by name.
    `ValueError` for a row that no record holds.
    """
    pairs = [(trace, run) for trace in traces for run in trace.runs if run.sampled_users]
    if not pairs:
        return Absent(
            "Who got what", "the records hold no users to look at (schema 1, or failed before); run again"
        )
    first = pairs[0][1]
    alike = [
        (trace, run)
        for trace, run in pairs
        if run.seed == first.seed and run.sampled_users == first.sampled_users
    ]
    models = list(_models(alike))
    chosen = _chosen(first, rows)
    return People(
        tuple(_person(first, shown, place, models) for place, shown in chosen),
        models[0].evaluation.n,
        first.seed,
        tuple(trace.name for trace in traces if trace.name not in {each.name for each, _ in alike}),
    )


def _chosen(record: RunRecord, rows: Sequence[int]) -> list[tuple[int, SampledUser]]:
    """Return the shown users asked for, with their places among all shown."""
    places = {shown.row: place for place, shown in enumerate(record.sampled_users)}
    if unknown := [row for row in rows if row not in places]:
        listed = ", ".join(map(str, places))
        raise ValueError(f"--users {unknown[0]}: the records hold the users {listed}; take some of these")
    count = len(record.sampled_users)
    spread = np.linspace(0, count - 1, min(USERS, count)).round().astype(int)
    wanted = [places[row] for row in rows] if rows else spread.tolist()
    return [(place, record.sampled_users[place]) for place in wanted]


def _models(alike: Iterable[tuple[Trace, RunRecord]]) -> Iterable[_Model]:
    """Yield the initial SFT of the first run, then each arm's last model."""
    for number, (trace, run) in enumerate(alike):
        own = [(i, each) for i, group in trace.iterations.items() for each in group if _of(run, each)]
        if number == 0 and own[0][0] == 0:
            yield _model("initial SFT", run, own[0][1])
        if own[-1][0] > 0:
            yield _model(f"{trace.name}, iteration {own[-1][0]}", run, own[-1][1])


def _model(name: str, run: RunRecord, evaluation: Evaluation) -> _Model:
    ids = lists(evaluation, max(cutoffs([evaluation]), default=1))
    firsts = Counter(ids[:, 0].tolist()) if ids is not None else Counter()
    return _Model(name, run, evaluation, ids, firsts)


def _of(run: RunRecord, evaluation: Evaluation) -> bool:
    return any(each is evaluation for each in run.evaluations)


def _person(record: RunRecord, shown: SampledUser, place: int, models: Sequence[_Model]) -> Person:
    return Person(
        shown.row,
        tuple(_title(record, item) for item in shown.history),
        _title(record, shown.target),
        tuple(_answer(model, shown, place) for model in models),
    )


def _answer(model: _Model, shown: SampledUser, place: int) -> Answer:
    row = [] if model.ids is None else [item for item in model.ids[shown.row].tolist() if item >= 0]
    given = tuple(
        Given(_title(model.record, item), item == shown.target, model.firsts.get(item, 0)) for item in row
    )
    titles = model.evaluation.written
    written = titles[place] if len(titles) == len(model.record.sampled_users) else ""
    # a title that exists is the first of the list that it is grounded in, so the record knows it
    known = {item.title.casefold().strip() for item in model.record.items.values()}
    target = _title(model.record, shown.target)
    same = bool(written) and written.casefold().strip() == target.casefold().strip()
    return Answer(model.name, written, written.casefold().strip() in known, same, given)


def _title(record: RunRecord, item: int) -> str:
    known = record.items.get(str(item))
    return known.title if known else f"item {item}"
