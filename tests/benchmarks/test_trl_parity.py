"""SFT and DPO take TRL's steps: same losses and norms on the same rows."""

from dataclasses import replace

import pytest

from benchmarks import trl_parity
from benchmarks.setting import Setting, default_settings


@pytest.fixture(scope="module")
def settings(sprec_home):
    return default_settings("base_llm=tiny", "dataset=toy", bf16=False, threads=1)


@pytest.mark.parametrize("negatives", [0, 1])
def test_steps_are_trls(settings, sprec_home, negatives):
    parity = trl_parity.compare_with_trl(Setting(settings, 8, negatives), batch_rows=2, learning_rate=1e-2)
    assert len(parity.ours.losses) == len(parity.trl.losses) == len(parity.ours.norms) == 4
    assert parity.loss_difference < 1e-5
    assert parity.norm_difference < 1e-5
    assert parity.ours.losses[-1] != pytest.approx(parity.ours.losses[0], abs=1e-3)


def test_a_loss_that_is_another_is_seen(settings, sprec_home, monkeypatch):
    monkeypatch.setattr(trl_parity, "sft", lambda policy, reference: -policy[:, 0] * 1.01)
    parity = trl_parity.compare_with_trl(Setting(settings, 4), batch_rows=2, learning_rate=1e-3)
    assert not parity.holds
    assert not replace(parity, ours=parity.trl, trl=parity.ours).holds
    assert replace(parity, ours=parity.trl).holds
