import pytest

from sprec.report.tables.arms import (
    group_by_setting,
    group_into_arms,
    last_evaluation,
    rankings_of,
    uses_llm,
)
from tests.report.conftest import evaluation, evaluations


def config(seed, **changes):
    return {"seed": seed, "dpo": {"beta": 0.1}, "trainer": {"devices": 1}} | changes


def test_runs_that_differ_in_more_than_the_seed_are_different_arms(make):
    records = [
        make(seed=0, config=config(0)),
        make(seed=1, config=config(1, trainer={"devices": 2})),
        make(seed=2, config=config(2, dpo={"beta": 1.0})),
    ]
    assert [(str(arm), len(arm.runs)) for arm in group_into_arms(records)] == [
        ("SPRec (dpo.beta=0.1)", 2),
        ("SPRec (dpo.beta=1.0)", 1),
    ]


def trainer(seed, formats, /, **settings):
    return {"seed": seed, "precision": formats, "config": config(seed, trainer=settings)}


def variants(records):
    return [(arm.variant(), [run.seed for run in arm.runs]) for arm in group_into_arms(records)]


def test_runs_that_read_in_another_number_format_are_another_arm(make):
    auto = {"precision": "auto", "inference_precision": "auto"}
    records = [
        make(**trainer(0, "bf16", precision="auto", inference_precision="same", threads=1)),
        make(**trainer(1, "bf16", precision="bf16", inference_precision="same", threads=2)),
        make(**trainer(2, "bf16", **auto)),  # on a CPU: reads in bf16
        make(**trainer(3, "bf16 reading in fp16", **auto)),  # on CUDA
        make(**trainer(4, "bf16 reading in fp16", precision="bf16", inference_precision="fp16")),
    ]
    assert variants(records) == [
        ("trainer.inference_precision=same", [0, 1, 2]),
        ("trainer.inference_precision=fp16", [3, 4]),
    ]


def test_products_and_base_weights_count_as_they_were_and_not_as_they_were_asked_for(make):
    records = [
        make(**trainer(0, "bf16", precision="auto")),
        make(**trainer(1, "float32", precision="auto")),
        make(**trainer(2, "bf16 on nf4", precision="auto")),
    ]
    assert variants(records) == [
        ("base_llm.quantise=none, trainer.precision=bf16", [0]),
        ("base_llm.quantise=none, trainer.precision=float32", [1]),
        ("base_llm.quantise=nf4, trainer.precision=bf16", [2]),
    ]


def test_precision_that_no_record_names_stays_what_the_configuration_says(make):
    records = [make(**trainer(0, "")), make(**trainer(1, "", inference_precision="fp16"))]
    assert variants(records) == [
        ("trainer.inference_precision=None", [0]),
        ("trainer.inference_precision=fp16", [1]),
    ]


@pytest.mark.parametrize(
    ("key", "number"),
    [
        *[("clip_norm", 2), ("loss_per", 2), ("warmup_from_zero", 2), ("batch_tokens", 1)],
        *[("eval_batch_tokens", 1), ("checkpointing", 1), ("nodes", 1)],
    ],
)
def test_what_only_says_how_a_trainer_computes_makes_no_arm(make, key, number):
    records = [make(**trainer(seed, "bf16", **{key: seed + 1})) for seed in (0, 1)]
    assert len(group_into_arms(records)) == number


def test_arms_stand_in_the_order_of_the_registry_and_then_of_their_start(make):
    late = make("my_method", started="2026-02-01T00:00:00+00:00")
    assert [arm.method for arm in group_into_arms([make(), late])] == ["my_method", "sprec"]
    again = make(negatives="popular", started="2025-01-01T00:00:00+00:00")
    assert [arm.negatives for arm in group_into_arms([make(), again])] == ["popular", "self_play"]


def test_run_without_scores_joins_the_settings_that_may_be_its_own(make):
    lost = make("dpo", evaluations=())
    small = make(seed=1, evaluations=evaluations(0.1, n=5))
    groups = group_by_setting([make(), small, lost])
    assert [(setting.n, lost in runs) for setting, runs in groups.items()] == [(1000, True), (5, True)]
    assert [setting.n for setting in group_by_setting([lost])] == [None]


@pytest.mark.parametrize(("ranking", "expected"), [("grounded", 0.2), ("beam", 0.4), ("other", None)])
def test_last_is_the_last_iteration_under_a_ranking(make, ranking, expected):
    record = make(evaluations=(*evaluations(0.1, 0.2), evaluation("iteration_1", 1, 0.4, ranking="beam")))
    evaluation_at_end = last_evaluation(record, ranking)
    assert (evaluation_at_end and evaluation_at_end.scores["hr@1"]) == expected
    assert rankings_of([record]) == ("grounded", "beam")


def test_arms_that_differ_in_their_ranking_are_named_by_it_and_by_what_varies_within_it(make):
    beam, grounded = ({"_target_": f"rankers.{name}", "width": 10} for name in ("Beam", "Grounded"))
    ranked = [("beam", beam), ("beam", beam | {"width": 20}), ("grounded", grounded | {"width": None})]
    records = [
        make(
            config=config(0, ranking=ranking), evaluations=(evaluation("iteration_1", 1, 0.4, ranking=name),)
        )
        for name, ranking in ranked
    ]
    assert [arm.variant() for arm in group_into_arms(records)] == [
        "ranking.width=10, ranking=beam",
        "ranking.width=20, ranking=beam",
        "ranking=grounded",
    ]


def test_whole_numbers_and_places_of_equal_data_make_no_arm(make):
    """Two runs are compared only where their datasets' contents are the same, wherever these lie."""
    betas = [make(config=config(0, dpo={"beta": 1})), make(seed=1, config=config(1, dpo={"beta": 1.0}))]
    places = [make(seed=seed, config=config(seed, dataset={"path": f"/{seed}"})) for seed in (0, 1)]
    assert [len(group_into_arms(records)) for records in (betas, places)] == [1, 1]


def test_settings_of_adapters_count_where_there_are_adapters(make):
    def llm(seed, **lora):
        return make(seed=seed, precision="float32", config=config(seed, base_llm={"lora": lora}))

    assert len(variants([llm(0, rank=0, dropout=0.0), llm(1, rank=0, dropout=0.05)])) == 1
    assert len(variants([llm(0, rank=8, dropout=0.0), llm(1, rank=8, dropout=0.05)])) == 2
    assert len(variants([llm(0, rank=0, dropout=0.05), llm(1, rank=8, dropout=0.05)])) == 2


def test_an_objective_that_a_methods_name_does_not_stand_for_is_named(make):
    def run(method, objective, negatives="Random count=3"):
        target = {"objective": {"_target_": f"sprec.training.objectives.{objective}"}}
        return make(method=method, negatives=negatives, config=config(0, **target))

    def name(*what):
        return str(group_into_arms([run(*what)])[0])

    assert name("sdpo", "sdpo") == name("sdpo_released", "sdpo").replace(" (released)", "") == "S-DPO"
    assert name("sdpo", "dpo") == "S-DPO (objective._target_=sprec.training.objectives.dpo)"
    assert name("sprec", "dpo", "SelfPlay Greedy") == "SPRec"
    assert name("sprec", "rosepo", "SelfPlay Greedy").startswith("SPRec (objective")
    assert name("sft", "sdpo", "none") == "SFT"


@pytest.mark.parametrize("status", ["failed", "running"])
def test_a_run_without_scores_counts_for_the_split_that_it_was_to_score(make, status):
    chosen = make(evaluations=(evaluation("iteration_1", 1, 0.5, split="valid"),))
    lost = make("dpo", config=config(0, split="valid"), status=status, evaluations=())
    groups = group_by_setting([make(), chosen, lost])
    assert [(setting.split, lost in runs) for setting, runs in groups.items()] == [
        ("test", False),
        ("valid", True),
    ]


def ranked(make, seed, target, name=None, **ranker):
    """Return a run with this ranker, scored under a ranking of this name, or failed before it was scored."""
    scored = (evaluation("iteration_1", 1, 0.4, ranking=name),) if name else ()
    ranking = {"_target_": target} | ranker
    status = "finished" if name else "failed"
    return make(seed=seed, status=status, config=config(seed, ranking=ranking), evaluations=scored)


def test_a_failed_run_is_of_the_arm_of_those_with_its_ranker(make):
    records = [
        ranked(make, 0, "rankers.BeamRanker", "beam"),
        ranked(make, 1, "mine.Special", "special"),
        ranked(make, 1, "rankers.BeamRanker"),
        ranked(make, 2, "mine.Special"),
    ]
    assert variants(records) == [("ranking=beam", [0, 1]), ("ranking=special", [1, 2])]


def test_a_ranking_that_nobody_scored_is_named_by_its_class(make):
    records = [
        ranked(make, 0, "mine.Special", "special"),
        ranked(make, 1, "rankers.BeamRanker"),
        ranked(make, 2, "mine.Other"),
    ]
    assert variants(records) == [("ranking=special", [0]), ("ranking=beam", [1]), ("ranking=Other", [2])]


def test_a_model_without_an_llm_that_failed_ranks_as_such_models_do(make):
    own = {"method": {"baseline": {"_target_": "sasrec"}}}
    records = [
        make(
            "sasrec",
            "none",
            config=config(0, ranking={"_target_": name}, **own),
            evaluations=scored,
            seed=seed,
        )
        for seed, (name, scored) in enumerate(
            [("Beam", (evaluation("sasrec", 0, 0.4, ranking="all items"),)), ("Grounded", ())]
        )
    ]
    assert variants(records) == [("ranking=all items", [0, 1])]
    assert [uses_llm(record) for record in (*records, make())] == [False, False, True]
