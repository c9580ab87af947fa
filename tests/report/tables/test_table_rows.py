"""Which rows the tables have, and what fills those that are missing."""

import shlex
from dataclasses import replace

import pytest

from sprec.records.run_record import WeightsEntry
from sprec.report.tables.assemble import score_tables
from sprec.report.tables.comparison import TableOptions
from sprec.report.tables.inconsistencies import inconsistencies
from sprec.report.tables.missing import rerun_command
from sprec.report.tables.table_kinds import MAIN, TABLE_KINDS
from sprec.report.tables.table_rows import score_rows
from tests.report.conftest import evaluation, evaluations


def config(seed=0, beta=0.1, iterations=1, size=256, **changes):
    budget = {"iterations": iterations, "iteration_rows": size}
    return {"seed": seed, "objective": {"beta": beta}, "budget": budget} | changes


def table(kind, records):
    return score_tables(TABLE_KINDS[kind], records, TableOptions(tested=False))[0]


def named(kind, records):
    return [row[: len(row) - 14] for row in table(kind, records).rows]


def test_iterations_come_from_the_longest_run_of_each_seed(make):
    records = [
        make(config=config(iterations=1), evaluations=evaluations(0.02)),
        make(config=config(iterations=3), evaluations=evaluations(0.02, 0.03, 0.05)),
        make(seed=1, config=config(1, iterations=2), evaluations=evaluations(0.04, 0.07)),
    ]
    made = table("iterations", records)
    assert made.title == "Self-play iterations on movie_lens with SmolLM2-135M-Instruct"
    assert [(*row[:4], row[5]) for row in made.rows[2:]] == [
        ("SPRec", "Self-play", "1", 2, made.rows[2][5]),
        ("SPRec", "Self-play", "2", 2, made.rows[3][5]),
        ("SPRec", "Self-play", "3", 1, 0.05),
    ]
    assert [row[5].mean for row in made.rows[2:4]] == pytest.approx([0.03, 0.05])


def test_beta_orders_its_rows_by_value_and_leaves_out_methods_without_several(make):
    records = [make(config=config(beta=beta)) for beta in (1.0, 0.01, 0.5)] + [make("sft", config=config())]
    assert [row[:3] for row in table("beta", records).rows[2:]] == [
        ("SPRec", "Self-play", "0.01"),
        ("SPRec", "Self-play", "0.5"),
        ("SPRec", "Self-play", "1.0"),
    ]


def test_sample_sizes_are_numbers_not_words(make):
    records = [make(config=config(size=size)) for size in (512, 64)]
    assert [row[2] for row in table("sample_size", records).rows[2:]] == ["64", "512"]


def test_base_llms_stand_in_one_table_each_with_its_own_initial_model(make):
    other = make(weights=WeightsEntry("qwen", "00"), evaluations=evaluations(0.05))
    made = table("base_llm", [make(), other])
    assert made.title == "Base LLMs on movie_lens"
    assert [row[:3] for row in made.rows] == [
        ("–", "most popular", "–"),
        ("SmolLM2-135M-Instruct", "initial SFT", "–"),
        ("SmolLM2-135M-Instruct", "SPRec", "Self-play"),
        ("qwen", "initial SFT", "–"),
        ("qwen", "SPRec", "Self-play"),
    ]
    assert len(score_tables(TABLE_KINDS["ablation"], [make(), other], TableOptions(tested=False))) == 2


def test_seed_that_an_arm_lacks_is_named_with_its_command(make):
    notes = table("ablation", [make(), make(seed=1), make("without_sft")]).notes
    fills = "python -m sprec.run method=without_sft seed=1"
    assert f"without SFT: no run with seed 1; to run it: {fills}" in notes


def test_arm_of_the_ablation_that_was_never_run_is_named_with_its_command(make):
    notes = table("ablation", [make(), make("without_sft")]).notes
    assert "without DPO: never run; to run it: python -m sprec.run seed=0 method=without_dpo" in notes
    assert not any("never run" in note for note in table("main", [make()]).notes)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("python -m sprec.run +sweep=ablation seed=0,1 -m", "python -m sprec.run method=dpo seed=4"),
        ("python -m sprec.run method=sft,dpo -m", "python -m sprec.run method=dpo seed=4"),
        ("python -m sprec.run 'group=a b' seed=0", "python -m sprec.run 'group=a b' seed=4"),
        (
            "python -m sprec.run budget.test_rows=10,20 --multirun",
            "python -m sprec.run budget.test_rows=20 seed=4",
        ),
    ],
)
def test_command_of_a_sweep_becomes_that_of_one_run(make, typed, expected):
    run = make("dpo", command=typed, config={"budget": {"test_rows": 20}})
    assert rerun_command(run, {"seed": "4"}) == expected


def test_rows_under_several_rankings_name_theirs(make):
    both = (*evaluations(0.02), evaluation("iteration_1", 1, 0.4, ranking="beam"))
    made = score_rows(TABLE_KINDS["main"], [make(evaluations=both)])
    assert [row.names[0] for row in made[2:]] == ["SPRec (grounding)", "SPRec (beam search)"]


def test_one_arm_under_two_rankings_has_two_rows_and_one_start(make):
    records = [
        make(
            config={"seed": 0, "ranking": {"_target_": f"rankers.{ranking}"}},
            evaluations=tuple(
                evaluation(label, iteration, score, ranking=ranking)
                for label, iteration, score in (("initial_sft", 0, first), ("iteration_1", 1, last))
            ),
        )
        for ranking, first, last in (("beam", 0.1, 0.2), ("grounded", 0.3, 0.4))
    ]
    names = [row.names[0] for row in score_rows(TABLE_KINDS["main"], records)]
    assert names[-2:] == ["SPRec (beam search)", "SPRec (grounding)"]
    assert not any("different initial SFT" in note for note in inconsistencies(MAIN, [], records))


def test_two_base_llms_of_one_name_have_rows_of_their_own_with_their_digests(make):
    records = [make(), make(seed=1, weights=WeightsEntry("smollm2_135m", "0123456789"))]
    names = {row[0] for row in table("base_llm", records).rows}
    assert names == {"–", "SmolLM2-135M-Instruct (fedcba)", "SmolLM2-135M-Instruct (012345)"}


def test_what_all_arms_share_has_a_row_for_each_kind_of_list(make):
    """Lists without the user's own history are others, of the most popular items too."""
    records = [make(config=config() | {"ranking": {"exclude_history": value}}) for value in (False, True)]
    names = [row[0] for row in table("ablation", records).rows]
    assert [name for name in names if name.startswith("most popular")] == [
        "most popular (with history)",
        "most popular (without history)",
    ]


def test_a_missing_setting_is_its_default_and_a_failed_run_splits_nothing(make):
    configs = [config(), config() | {"ranking": {"exclude_history": False}}]
    records = [make(config=each, seed=seed) for seed, each in enumerate(configs)]
    left_out = config() | {"ranking": {"exclude_history": True}}
    records += [make("dpo", config=left_out, status="failed", error="OSError: x", evaluations=())]
    names = [row[0] for row in table("ablation", records).rows]
    assert [name for name in names if name.startswith("most popular")] == ["most popular"]


def test_one_start_ranked_in_two_ways_is_said(make):
    records = [
        make(
            config={"seed": 0, "ranking": {"_target_": "rankers.beam", "width": width}},
            evaluations=(evaluation("initial_sft", 0, first), evaluation("iteration_1", 1, 0.4)),
        )
        for width, first in ((10, 0.1), (20, 0.2))
    ]
    (note,) = [note for note in inconsistencies(MAIN, [], records) if "different initial SFT" in note]
    assert note.startswith("seed 0: the runs start from 2 different initial SFT models")


def test_runs_with_other_list_lengths_start_from_one_model(make):
    one = make()
    start = one.evaluations[1]
    fewer = replace(start, scores={key: value for key, value in start.scores.items() if "@5" not in key})
    other = make("dpo", evaluations=(one.evaluations[0], fewer, one.evaluations[2]))
    assert not [note for note in inconsistencies(MAIN, [], [one, other]) if "different initial SFT" in note]


def test_a_command_of_its_own_keeps_values_with_commas(make):
    words = [
        'prompt.text="Seen: {history}, next: "',
        "seed=0,1",
        "cutoffs=[1,5]",
        "negatives=random,popular",
        "-m",
    ]
    typed = shlex.join(["python", "-m", "sprec.run", *words])
    run = make(command=typed, config=config() | {"negatives": "popular"})
    assert shlex.split(rerun_command(run, {}))[3:] == [
        *('prompt.text="Seen: {history}, next: "', "cutoffs=[1,5]", "negatives=popular", "seed=0"),
    ]


def test_the_command_of_an_arm_that_was_never_run_leaves_its_negatives_to_the_method(make):
    typed = "python -m sprec.run dataset=toy negatives=beams negatives.count=3 decoding=sampled method=sprec"
    made = make(negatives="Beams count=3", config=config(), command=typed)
    missing = {note.split(":")[0]: note for note in table("ablation", [made]).notes if "never run" in note}
    assert "negatives=" not in missing["random negatives"]
    assert "negatives.count" not in missing["random negatives"]
    assert "decoding=sampled" in missing["random negatives"]
    assert "negatives=beams negatives.count=3" in missing["without SFT"]
    # Another seed of the same arm keeps what was typed.
    assert "negatives.count=3" in rerun_command(replace(made, method="random_negatives"), {"seed": "1"})
