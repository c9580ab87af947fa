"""The settings of a recorded run, for whatever machine asks it later."""

from types import SimpleNamespace

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from sprec.experiment.config import validate_settings
from sprec.experiment.reload import _recorded_settings
from sprec.run import CONF


@pytest.fixture
def recorded():
    def make(*words, **changes):
        with initialize_config_dir(str(CONF), version_base="1.3"):
            config = OmegaConf.to_container(compose("config", overrides=list(words)), resolve=True)
        settings = validate_settings({name: value for name, value in config.items() if name != "hydra"})
        precision = changes.pop("precision", "float32")
        return SimpleNamespace(
            config=settings.model_dump() | changes, precision=precision, commit="c", command="x"
        )

    return make


def test_a_run_with_rows_of_its_own_draw_has_these_rows(recorded):
    settings = _recorded_settings(recorded("rows_seed=entropy", rows_seed_drawn=7))
    assert settings.rows_seed == 7


def test_a_run_of_a_larger_machine_is_asked_on_one_device(recorded):
    run = recorded("trainer=fsdp", "trainer.devices=4", "base_llm.quantise=nf4", precision="bf16 on nf4")
    settings = _recorded_settings(run)
    assert (settings.trainer.world_size, settings.trainer.shard) == (1, False)
    assert (settings.trainer.precision, settings.base_llm.quantise) == ("bf16", "auto")
