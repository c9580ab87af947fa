"""Which rows the tables have, and what fills those that are missing."""

import shlex
from dataclasses import replace

import numpy as np
import pytest

from sprec.records.run_record import WeightsEntry
from sprec.report.tables.assemble import score_tables
from sprec.report.tables.comparison import TableOptions
from sprec.report.tables.inconsistencies import inconsistencies
from sprec.report.tables.missing import rerun_command
from sprec.report.tables.table_kinds import MAIN, TABLE_KINDS
from sprec.report.tables.table_rows import score_rows
from tests.report.conftest import evaluation, evaluations
from tests.report.random_lists import ranked, with_lists


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


def test_a_failed_run_has_the_row_of_its_ranking(make):
    def ranked(seed, name, **changes):
        scored = (evaluation("iteration_1", 1, 0.2, ranking=name),)
        target = {"ranking": {"_target_": f"rankers.{name}"}}
        return make(seed=seed, **{"config": {"seed": seed} | target, "evaluations": scored} | changes)

    lost = {"status": "failed", "error": "OSError: disk full", "evaluations": ()}
    records = [ranked(0, "beam"), ranked(0, "grounded"), ranked(1, "beam", **lost), ranked(1, "grounded")]
    made = table("main", records)
    assert [row[0] for row in made.rows] == ["SPRec (beam search)", "SPRec (grounding)"]
    assert [note for note in made.notes if "failed" in note or "no run" in note] == [
        "SPRec (ranking=beam), seed 1: failed (OSError: disk full); "
        "to run it again: python -m sprec.run method=sprec seed=1"
    ]
    alone = table("ablation", [*records[:2], ranked(1, "guided", **lost)])
    assert [row[0] for row in alone.rows][-1] == "SPRec (guided beam search)"


def without_llm(make, seed=0, **changes):
    scored = (evaluation("most_popular", None, 0.03, ranking="popularity"),)
    scored += (evaluation("sasrec", 0, 0.2, ranking="all items"),)
    return make("sasrec", "none", seed=seed, **{"evaluations": scored} | changes)


def test_models_without_an_llm_stand_once_among_base_llms(make):
    tiny = {"weights": WeightsEntry("tiny", "00"), "precision": "float32"}
    settings = {"base_llm": {"name": "tiny", "lora": {"rank": 0}}, "budget": {"iterations": 1}}
    first = without_llm(make, config=config())
    records = [make(), first, without_llm(make, 1, config=config(1, beta=0.5) | settings, **tiny)]
    made = table("base_llm", [*records, make(**tiny)])
    assert [row[:4] for row in made.rows] == [
        ("–", "most popular", "–", 2),
        ("–", "SASRec", "–", 2),
        ("SmolLM2-135M-Instruct", "initial SFT", "–", 1),
        ("SmolLM2-135M-Instruct", "SPRec", "Self-play", 1),
        ("tiny Llama", "initial SFT", "–", 1),
        ("tiny Llama", "SPRec", "Self-play", 1),
    ]


def test_a_model_without_an_llm_has_no_difference_to_the_start_of_a_base_llm(make):
    rng, users = np.random.default_rng(0), 50
    start, own, popular = (ranked(rng, users, skew=skew) for skew in (1.4, 0.7, 3.0))
    trained = [("most_popular", None, popular), ("initial_sft", 0, start), ("iteration_1", 1, own)]
    records = [
        with_lists(make(), trained, users=users),
        with_lists(make(weights=WeightsEntry("tiny", "00")), trained, users=users),
        with_lists(make("sasrec", "none"), [trained[0], ("sasrec", 0, own)], users=users),
    ]
    tables = [
        score_tables(TABLE_KINDS["base_llm"], records, TableOptions(tested=True, against=against))[1]
        for against in (None, "SmolLM2-135M-Instruct × SPRec × Self-play")
    ]
    assert [[row[:2] for row in one.rows] for one in tables] == [
        [("SmolLM2-135M-Instruct", "SPRec"), ("tiny Llama", "SPRec")],
        [
            *(("–", "most popular"), ("–", "SASRec"), ("SmolLM2-135M-Instruct", "initial SFT")),
            *(("tiny Llama", "initial SFT"), ("tiny Llama", "SPRec")),
        ],
    ]


def test_arms_that_a_table_over_a_factor_leaves_out_are_named(make):
    varied = [make(config=config(beta=beta)) for beta in (0.1, 1.0)]
    lost = make("without_sft", config=config(), status="failed", error="OSError: x", evaluations=())
    start = make("sft", "none", config=config(), evaluations=evaluations())
    made = table("beta", [*varied, make("dpo", "Random", config=config()), lost, start])
    assert "not varied and left out: DPO, without SFT (failed)" in made.notes
    assert not any("left out" in note for note in table("beta", varied).notes)


def test_the_command_of_an_arm_says_the_number_format_that_it_is_named_by(make):
    auto = {"trainer": {"precision": "auto"}}
    records = [
        make(seed=seed, config=config(seed) | auto, precision=formats)
        for seed, formats in ((0, "bf16"), (1, "bf16"), (0, "float32"))
    ]
    assert (
        "SPRec (trainer.precision=float32): no run with seed 1; "
        "to run it: python -m sprec.run method=sprec seed=1 trainer.precision=float32"
    ) in table("ablation", records).notes
    (note,) = [
        note
        for note in table("ablation", [*records[:2], make("dpo", config=config())]).notes
        if "no run" in note
    ]
    assert note.endswith("method=dpo seed=1")


def test_numbers_come_from_the_runs_that_rows_show(make):
    old = make(commit="old", started="2025-01-01T00:00:00+00:00", evaluations=evaluations()[2:])
    lost = make(seed=2, commit="lost", status="failed", error="OSError: x", evaluations=())
    old = replace(old, evaluations=(evaluation("iteration_1", 1, 0.5),))
    for kind in ("main", "ablation"):
        assert "; seeds 0; commit abcdef0123; dataset" in table(kind, [old, make(), lost]).notes[-1]
    assert "seeds 2; commit lost" in table("ablation", [lost]).notes[-1]
