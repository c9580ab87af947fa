"""For some users: their history, the true next item, and titles before and after self-play."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Int

from sprec.records.run_record import Evaluation, RunRecord, SampledUser
from sprec.report.figures.figure_kinds import MissingPart
from sprec.report.figures.series import ArmSeries, top_lists
from sprec.report.labels import LABELS
from sprec.report.tables.arms import HISTORY_LABELS
from sprec.report.tables.per_user_values import cutoffs_of

# Rankings that put an existing title that was written at the head of its list.
GROUNDED = ("grounded",)
# Users that a page shows by default.
USERS = 6

Lists: TypeAlias = Int[np.ndarray, "users k"]


@dataclass(frozen=True)
class ListedTitle:
    """A recommended title: whether it is the true next one, and how many users have it in first place."""

    title: str
    hit: bool
    firsts: int


@dataclass(frozen=True)
class ModelAnswer:
    """One model's answer to a user: the title it wrote ("" if unknown), if that exists, and its list."""

    model: str
    written: str
    exists: bool
    hit: bool
    titles: tuple[ListedTitle, ...]


@dataclass(frozen=True)
class UserExample:
    """A scored user by row number, with titles of the history, oldest first, and of the true next item."""

    row: int
    history: tuple[str, ...]
    target: str
    answers: tuple[ModelAnswer, ...]


@dataclass(frozen=True)
class UserExamples:
    """Some of `n` scored users, the seed whose models they are shown for, and the arms left out.

    `by_change`: those whose lists changed most, in that order.
    """

    users: tuple[UserExample, ...]
    n: int
    seed: int
    left_out: tuple[str, ...]
    by_change: bool


@dataclass(frozen=True)
class _Model:
    name: str
    record: RunRecord
    evaluation: Evaluation
    ids: Lists | None
    firsts: Mapping[int, int]


def user_examples(series: Sequence[ArmSeries], rows: Sequence[int] = ()) -> UserExamples | MissingPart:
    """Return the users of these row numbers, or the `USERS` in the records whose lists changed most.

    All models are of one seed and saw the same users; arms without such a run are left out by name.
    `ValueError` for a row that no record holds.
    """
    pairs = [(arm, run) for arm in series for run in arm.runs if run.sampled_users]
    if not pairs:
        return MissingPart(
            "Who got what", "the records hold no users to look at (schema 1, or failed before); run again"
        )
    first = pairs[0][1]
    # Side by side, models must be of one seed and have seen the same users.
    comparable = [
        (arm, run)
        for arm, run in pairs
        # Another seed of the arm may be further than this one.
        if run.seed == first.seed and run.sampled_users == first.sampled_users and _rankings_by(arm, run)
    ]
    models = list(_models(comparable))
    if not models:
        return MissingPart("Who got what", "no run has ranked with a tuned model yet")
    shown = {id(arm) for arm, _ in comparable}
    chosen = _choose_users(first, rows) if rows else _most_changed_users(first, models)
    return UserExamples(
        tuple(_example(first, user, place, models) for place, user in chosen),
        models[0].evaluation.n,
        first.seed,
        tuple(arm.name for arm in series if id(arm) not in shown),
        by_change=not rows and len(models) > 1,
    )


def _choose_users(record: RunRecord, rows: Sequence[int]) -> list[tuple[int, SampledUser]]:
    """Return the users asked for, with their places among all that the record holds."""
    places = {user.row: place for place, user in enumerate(record.sampled_users)}
    if unknown := [row for row in rows if row not in places]:
        listed = ", ".join(map(str, places))
        raise ValueError(f"--users {unknown[0]}: the records hold the users {listed}; take some of these")
    return [(places[row], record.sampled_users[places[row]]) for row in rows]


def _most_changed_users(record: RunRecord, models: Sequence[_Model]) -> list[tuple[int, SampledUser]]:
    """Return `USERS` users with their places, those first whose lists differ most from the first model's."""

    def changed(user: SampledUser) -> int:
        """Return the places of the lists that hold another item than the first model's list."""
        lists = [model.ids[user.row] for model in models if model.ids is not None]
        return sum(int((other != lists[0]).sum()) for other in lists[1:] if len(other) == len(lists[0]))

    # Of equals the first: sorting keeps their order.
    ordered = sorted(enumerate(record.sampled_users), key=lambda entry: -changed(entry[1]))
    return ordered[:USERS]


def _models(pairs: Sequence[tuple[ArmSeries, RunRecord]]) -> Iterable[_Model]:
    """Yield the initial SFT that arms share, then each arm's last model."""
    # By identity: two arms of one name are two models.
    own = {id(arm): _rankings_by(arm, run) for arm, run in pairs}
    started = {arm.list_kinds: own[id(arm)][0] for arm, _ in reversed(pairs) if arm.starts_as_others}
    for kinds, (_, evaluation, run) in reversed(started.items()):
        ranking, excludes = min(kinds)
        details = f" ({LABELS.ranking(ranking)}, {HISTORY_LABELS[excludes]})" if len(started) > 1 else ""
        yield _model(f"initial SFT{details}", run, evaluation)
    for arm, _ in pairs:
        iteration, evaluation, run = own[id(arm)][-1]
        if iteration > 0:
            yield _model(f"{arm.name}, iteration {iteration}", run, evaluation)
        elif not arm.starts_as_others:
            yield _model(arm.name, run, evaluation)


def _rankings_by(arm: ArmSeries, run: RunRecord) -> list[tuple[int, Evaluation, RunRecord]]:
    """Return what the run's own models ranked, by iteration."""
    return [(i, one, run) for i in arm.iterations for owner, one in arm.at(i) if owner is run]


def _model(name: str, run: RunRecord, evaluation: Evaluation) -> _Model:
    ids = top_lists(evaluation, max(cutoffs_of([evaluation]), default=1))
    firsts = Counter(ids[:, 0].tolist()) if ids is not None else Counter()
    return _Model(name, run, evaluation, ids, firsts)


def _example(record: RunRecord, user: SampledUser, place: int, models: Sequence[_Model]) -> UserExample:
    return UserExample(
        user.row,
        tuple(_title(record, item) for item in user.history),
        _title(record, user.target),
        tuple(_answer(model, user, place) for model in models),
    )


def _answer(model: _Model, user: SampledUser, place: int) -> ModelAnswer:
    ids = [] if model.ids is None else [item for item in model.ids[user.row].tolist() if item >= 0]
    titles = tuple(
        ListedTitle(_title(model.record, item), item == user.target, model.firsts.get(item, 0))
        for item in ids
    )
    written_titles = model.evaluation.written
    written = written_titles[place] if len(written_titles) == len(model.record.sampled_users) else ""
    # Grounding heads its list with a title that exists; of other rankings the record may lack the item.
    is_known = model.evaluation.ranking in GROUNDED
    existing = {_normalize(item.title) for item in model.record.items.values()}
    hit = bool(written) and _normalize(written) == _normalize(_title(model.record, user.target))
    return ModelAnswer(model.name, written, not is_known or _normalize(written) in existing, hit, titles)


def _normalize(title: str) -> str:
    return title.casefold().strip()


def _title(record: RunRecord, item: int) -> str:
    entry = record.items.get(str(item))
    return entry.title if entry else f"item {item}"
