"""Records of older versions name what is there today."""

from importlib import import_module

import pytest

from sprec.records import migrations
from sprec.records.migrations import RENAMED_TARGETS, present_config, present_target


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("sprec.llm.weights.Tiny", "sprec.llm.base_models.TinyLlama"),
        ("sprec.runtime.tracking.Silent", "sprec.records.tracking.Silent"),
        ("sprec.training.objectives.dpo", "sprec.training.objectives.dpo"),
        ("sprec.llm.weightsmith.Tiny", "sprec.llm.weightsmith.Tiny"),
    ],
)
def test_a_target_is_found_where_it_stands_now(old, new):
    assert present_target(old) == new


def test_every_new_target_exists():
    for _, new in RENAMED_TARGETS:
        path = present_target(new)
        try:
            import_module(path)
        except ModuleNotFoundError:
            module, _, name = path.rpartition(".")
            assert hasattr(import_module(module), name), path


def test_a_class_may_move_and_then_be_renamed(monkeypatch):
    monkeypatch.setattr(migrations, "RENAMED_TARGETS", (("a.old", "a.new"), ("a.new.Small", "a.new.Tiny")))
    assert [present_target("a.old.Small"), present_target("a.new.Small")] == ["a.new.Tiny", "a.new.Tiny"]


def test_targets_are_renamed_at_any_depth_and_the_recorded_configuration_stays_as_it_is():
    old = {"_target_": "sprec.training.negatives.Mixture", "of": [{"_target_": "sprec.llm.decoding.Greedy"}]}
    config = {"negatives": old, "seed": 3}
    assert present_config(config) == {
        "negatives": {
            "_target_": "sprec.negatives.Mixture",
            "of": [{"_target_": "sprec.generation.decoding.Greedy"}],
        },
        "seed": 3,
    }
    assert config["negatives"] is old
    assert old["of"][0]["_target_"] == "sprec.llm.decoding.Greedy"


def test_keys_are_renamed_moved_removed_and_added(monkeypatch):
    renames = (("method.keep", "method.retain"), ("method.objective", "objective"), ("trainer.gone", None))
    monkeypatch.setattr(migrations, "RENAMED_KEYS", renames)
    monkeypatch.setattr(migrations, "ADDED_KEYS", {"trainer.new": 5, "absent.key": 1, "method.name": "sft"})
    config = {"method": {"name": "dpo", "keep": True, "objective": {"beta": 1}}, "trainer": {"gone": 1}}
    assert present_config(config) == {
        "method": {"name": "dpo", "retain": True},
        "objective": {"beta": 1},
        "trainer": {"new": 5},
    }
    assert present_config(present_config(config)) == present_config(config)


def test_values_are_renamed_where_they_are_the_old_ones():
    configs = [{"dataset": {"reader": {"duplicates": value}}} for value in ("told_apart", "merged")]
    values = [present_config(config)["dataset"]["reader"]["duplicates"] for config in configs]
    assert values == ["numbered", "merged"]
