"""Our numbers beside those of the trainer that most users would pick instead."""

import copy

import pytest
import torch

from sprec.training.log_probs import compute_log_probs
from sprec.training.objectives import dpo

trl = pytest.importorskip("trl")
datasets = pytest.importorskip("datasets")


def trainer_of(policy, reference, folder):
    tokenizer = copy.deepcopy(policy.tokenizer)
    tokenizer.pad_token = tokenizer.eos_token
    rows = [{"prompt": "Seen: ", "chosen": "Heat", "rejected": "Ran"}]
    settings = trl.DPOConfig(output_dir=str(folder), beta=0.1, use_cpu=True, report_to="none", bf16=False)
    return trl.DPOTrainer(
        model=policy.base_model,
        ref_model=reference,
        args=settings,
        train_dataset=datasets.Dataset.from_list(rows),
        processing_class=tokenizer,
    )


def test_dpo_loss_equals_that_of_trl_on_the_same_batch(make, catalog, tmp_path):
    model = make(0)
    titles = catalog.titles
    rows = [model.encode(titles[i : i + 2 + i % 3], titles[20 + i : 22 + i]) for i in range(4)]
    ours_before = compute_log_probs(model, rows, batch_tokens=500)
    untuned = copy.deepcopy(model.base_model)
    with torch.no_grad():
        for weight in model.network.parameters():
            weight.add_(0.05 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(0)))
        ours = dpo(model.log_probs(rows), ours_before, beta=0.1).mean()
    trainer = trainer_of(model, untuned, tmp_path)
    batch = trainer.data_collator(
        [
            {
                "prompt_ids": list(row.prompt),
                "chosen_ids": list(row.answers[0]),
                "rejected_ids": list(row.answers[1]),
            }
            for row in rows
        ]
    )
    with torch.no_grad():
        theirs = trainer.compute_loss(model.base_model, batch)
    assert float(ours) == pytest.approx(float(theirs), abs=1e-4)
    assert abs(float(ours) - 0.6931) > 0.01
