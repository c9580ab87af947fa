"""What tells a run from those that it stands among."""

from dataclasses import replace

from sprec.report.tables.assemble import run_table
from sprec.report.tables.run_names import run_name
from tests.report.conftest import evaluation


def ranked(make, ranking, *, seed=0, **settings):
    config = {"seed": seed, "ranking": {"_target_": f"rankers.{ranking}"}, **settings}
    return make(seed=seed, config=config, evaluations=(evaluation("iteration_1", 1, 0.2, ranking=ranking),))


def test_a_run_alone_needs_no_more_than_its_arm(make):
    assert run_name(ranked(make, "beam")) == "SPRec"


def test_runs_of_one_arm_are_told_apart_by_ranking_and_settings(make):
    runs = [ranked(make, "beam"), ranked(make, "grounded"), ranked(make, "beam", dpo={"beta": 0.5})]
    assert [run_name(run, among=runs) for run in runs] == [
        "SPRec (dpo.beta=None, beam search)",
        "SPRec (dpo.beta=None, grounding)",
        "SPRec (dpo.beta=0.5, beam search)",
    ]
    assert run_table(runs[1], among=runs).title == "SPRec (dpo.beta=None, grounding), seed 0"


def test_runs_of_another_base_llm_add_nothing_to_a_name(make):
    run = ranked(make, "beam")
    other = replace(ranked(make, "beam", dpo={"beta": 0.5}), weights=replace(run.weights, digest="other"))
    assert run_name(run, among=[run, other]) == "SPRec"
    assert run_table(run, among=[run]).title == "SPRec, seed 0"
    assert run_table(run, among=[run, other]).title == "SPRec on movie_lens × SmolLM2-135M-Instruct, seed 0"


def test_an_attempt_that_failed_before_the_run_has_a_name_too(make):
    run = ranked(make, "beam")
    failed = replace(run, status="failed", evaluations=())
    assert run_name(failed, among=[failed, run]) == "SPRec"


def test_a_run_that_failed_is_named_by_its_ranker(make):
    runs = [ranked(make, "beam"), ranked(make, "grounded"), ranked(make, "beam", seed=1)]
    failed = replace(runs[2], status="failed", evaluations=())
    assert run_name(failed, among=[*runs[:2], failed]) == "SPRec (beam search)"
