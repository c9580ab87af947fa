"""Runs of one setting as rows of scores, compared with a baseline."""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from sprec.records.run_record import RunRecord
from sprec.report.labels import LABELS, Labels, same_name
from sprec.report.tables.arms import ComparisonSetting, scored_evaluations
from sprec.report.tables.columns import is_better, score_keys
from sprec.report.tables.marks import mark_best
from sprec.report.tables.reference_values import ReportedRow
from sprec.report.tables.table import Cell, Difference, Mark, MeanStd
from sprec.report.tables.table_kinds import INITIAL, TableKind
from sprec.report.tables.table_rows import ScoreRow, score_rows

# Intervals and tests of so many runs take two seconds; a table of more should still come at once.
FEW_RUNS = 100
# A test over so many seeds could reach 5 %: 2 / 2⁶. With fewer, chance in training gets marks.
ENOUGH_SEEDS = 6


@dataclass(frozen=True)
class TableOptions:
    """What a reader wants of a table.

    `against` names the row that others are compared with, None takes the table's own. `tested` says
    whether intervals and tests are computed, None where there are few runs. `plain` marks best and second
    whatever the tests say. `differences` says whether a table of them follows the scores. `columns` are
    scores by key (where a table is asked for, by label too), none for all; `digits` the decimals, None for
    the table's own.
    """

    cutoffs: tuple[int, ...] = ()
    against: str | None = None
    tested: bool | None = None
    plain: bool = False
    references: tuple[ReportedRow, ...] = ()
    differences: bool = True
    columns: tuple[str, ...] = ()
    digits: int | None = None
    labels: Labels = LABELS
    transposed: bool = False


@dataclass(frozen=True)
class Comparison:
    """The models of one setting, a row each.

    `baselines` are what rows are compared with, one for each kind of lists; none where each
    run's own initial SFT is.
    """

    kind: TableKind
    setting: ComparisonSetting
    records: Sequence[RunRecord]
    options: TableOptions
    rows: Sequence[ScoreRow]
    keys: Sequence[str]
    baselines: Sequence[ScoreRow]

    @property
    def title(self) -> str:
        """The title of the scores."""
        labels = self.options.labels
        data = labels.dataset(self.setting.dataset)
        llm = "" if self.kind.across_llms else f" with {labels.base_llm(self.setting.base_llm)}"
        return self.kind.title.format(f"{data}{llm}")

    @property
    def digits(self) -> int:
        """The decimals of numbers."""
        return 4 if self.options.digits is None else self.options.digits

    @property
    def baseline_name(self) -> str:
        """The name of what the rows are compared with."""
        labels, first = self.options.labels, next(iter(self.baselines), None)
        starts = [row for row in self.rows if row.is_initial]
        if len(self.baselines) == 1 or (first is None and len(starts) < 2):
            return str(first) if first else INITIAL
        if first is None and self.kind.across_llms:
            kinds = {row.list_kinds for row in starts}
            return f"the {INITIAL} of the same base LLM" + (
                ", under the same ranking" if len(kinds) > 1 else ""
            )
        name = first.arm.name(labels, None) if first and first.arm else labels.method("initial_sft")
        return f"{name} under the same ranking, else {first or starts[0]}"

    @property
    def is_tested(self) -> bool:
        """Whether intervals and tests are wanted."""
        tested = self.options.tested
        return len(self.records) <= FEW_RUNS if tested is None else tested

    @cached_property
    def differences(self) -> Mapping[tuple[int, str], Difference]:
        """The differences to the baseline by row and score, none where records hold no lists."""
        if not (self.is_tested and any(one.lists for run in self.records for one in run.evaluations)):
            return {}
        # Tables without tests need none of the arrays and random draws that this module brings.
        from sprec.report.tables.differences import compare_rows

        places = [place for place, row in enumerate(self.rows) if self.is_comparable(row)]
        differences = compare_rows([self.rows[place] for place in places], self.baselines, self.keys)
        return {(places[place], key): one for (place, key), one in differences.items()}

    def is_comparable(self, row: ScoreRow) -> bool:
        """Return whether there is a baseline for the row, or it is one itself.

        A model without an LLM has no initial SFT "of the same base LLM".
        """
        return bool(self.baselines) or not self.kind.across_llms or row.uses_llm

    def is_baseline(self, row: ScoreRow) -> bool:
        """Return whether other rows are compared with this one."""
        return any(row is one for one in self.baselines) if self.baselines else row.is_initial

    @property
    def marks(self) -> dict[tuple[int, int], Mark]:
        """The marked cells, by row and score; without tests none is marked but plainly."""
        marked: dict[tuple[int, int], Mark] = {}
        if not (self.differences or self.options.plain):
            return marked
        for column, key in enumerate(self.keys):
            means = [statistics.fmean(row.scores(key)) if row.by_seed else math.nan for row in self.rows]
            leads = None if self.options.plain else self._leads_on(key)
            for places in self.contests:
                own = [mean if place in places else math.nan for place, mean in enumerate(means)]
                marked |= {(row, column): mark for row, mark in mark_best(own, key, leads).items()}
        return marked

    @cached_property
    def contests(self) -> list[list[int]]:
        """The numbers of the rows among which the best is marked: those with lists of one kind.

        Baselines, which rank in ways of their own, are among the rows of the one ranking of the LLM, and by
        themselves where there are several.
        """
        kinds = [{(run.llm_ranking, run.list_kind[1]) for run in row.by_seed.values()} for row in self.rows]
        if len({ranking for own in kinds for ranking, _ in own if ranking}) < 2:
            kinds = [{("", history) for _, history in own} for own in kinds]
        groups: dict[frozenset[tuple[str, bool]], list[int]] = {}
        for place, own in enumerate(kinds):
            groups.setdefault(frozenset(own), []).append(place)
        return [places for kind, places in groups.items() if kind]  # a row without scores is of none

    @property
    def marked_among(self) -> str:
        """What a caption adds on marks where the rows' lists are of several kinds."""
        return " under each ranking" if len(self.contests) > 1 else ""

    def _leads_on(self, key: str) -> Callable[[int, int], bool]:
        def leads(place: int, following: int) -> bool:
            """Return whether the row, or the next after the baseline, differs from the baseline."""
            row, other = self.rows[place], self.rows[following]
            is_baseline = self.is_baseline(row)
            # Each base LLM has an initial SFT of its own; no test compares it with another's rows.
            if is_baseline and not self.baselines and row.base_llms != other.base_llms:
                return False
            difference = self.differences.get((following if is_baseline else place, key))
            if difference is None or not difference.significant:
                return False
            return is_baseline or is_better(key, difference.mean, 0.0)

        return leads

    def test_note(self) -> str:
        """Return the note on what marks mean, or why there are none."""
        if not self.is_tested:
            return f"No intervals and tests for {len(self.records)} runs at once; --tests on computes them"
        if not self.differences:
            return f"No intervals and tests: {self._why_untested()}"
        few = len({record.seed for record in self.records}) < ENOUGH_SEEDS
        seeds = (
            "; seeds are few: marks describe these trained models and say little about training again" * few
        )
        marked = (
            f"Bold best, underlined second{self.marked_among}, whatever the tests say"
            if self.options.plain
            else f"Bold best and underlined second{self.marked_among} only where the difference to "
            f"{self.baseline_name} is significant"
        )
        return (
            f"{marked}. Significant: paired test, Holm-corrected over {len(self.differences)} comparisons, "
            f"p ≤ 0.05, and a 95 % interval over users and seeds without 0{seeds}"
        )

    def _why_untested(self) -> str:
        from sprec.report.tables.differences import can_compare

        if can_compare(list(filter(self.is_comparable, self.rows)), self.baselines):
            return f"there is no test for {', '.join(map(self.options.labels.score, self.keys))}"
        return "no two rows have lists of the same users and seeds in their records"


def compare_runs(
    kind: TableKind,
    setting: ComparisonSetting,
    records: Sequence[RunRecord],
    options: TableOptions,
    *,
    several_rankings: bool | None = None,
) -> Comparison:
    """Return the comparison of these runs; `ValueError` for a baseline or list length that is not there.

    Args:
        kind: the table that it is for.
        setting: what the runs share.
        records: the runs.
        options: what a reader wants of the table.
        several_rankings: whether rows name their ranking, None where that hangs on these runs alone.

    """
    rows = score_rows(kind, records, options.labels, several_rankings=several_rankings)
    evaluations = [one for record in records for one in scored_evaluations(record)]
    # Keys by now; one that another setting alone has makes empty cells here.
    keys = list(options.columns) or score_keys(evaluations, options.cutoffs)
    return Comparison(
        kind, setting, records, options, rows, keys, _find_baselines(kind, rows, options.against)
    )


def score_cell(row: ScoreRow, key: str) -> Cell:
    """Return a row's cell of a score: its value, or its mean and deviation over seeds."""
    return summarize(row.scores(key))


def summarize(numbers: Sequence[float]) -> Cell:
    """Return one number as it is, several as mean and deviation, None where any is missing."""
    if any(math.isnan(number) for number in numbers):
        return None
    if len(numbers) == 1:
        return float(numbers[0])
    return MeanStd(statistics.fmean(numbers), statistics.stdev(numbers))


def _find_baselines(kind: TableKind, rows: Sequence[ScoreRow], against: str | None) -> list[ScoreRow]:
    """Return what others are compared with, a row for each kind of lists; none for the initial SFT."""
    name = kind.against if against is None else against
    if same_name(name, INITIAL):
        return []
    named = [row for row in rows if row.is_named(name)]
    if not named and against is not None:
        listed = ", ".join(dict.fromkeys([INITIAL, *map(str, rows)]))
        raise ValueError(f"--against {against!r} is no row of this table; take one of {listed}")
    scored = [row for row in named if row.by_seed]
    # Lists of another kind would differ by that as well, and another arm by more than its lists.
    alike = [row for row in scored if row.identity == scored[0].identity]
    by_kind = {row.list_kinds: row for row in reversed(alike)}
    return list(reversed(by_kind.values())) or named[:1]
