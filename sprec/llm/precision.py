"""Number formats: of matrix products, of base weights, and of the copy that only infers."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import transformers

log = logging.getLogger(__name__)
QUANTISER = "bitsandbytes"
CPU_INFO = Path("/proc/cpuinfo")
BF16_UNITS = frozenset({"avx512_bf16", "amx_bf16"})
"""Flags of processors that multiply bfloat16 matrices in hardware."""


@dataclass(frozen=True)
class Precision:
    """bfloat16 or float32 products, `nf4` base weights (Dettmers et al. 2023), inference in `fp16`."""

    bf16: bool
    nf4: bool = False
    fp16: bool = False

    def __str__(self) -> str:
        # 4-bit weights are multiplied in bfloat16, whatever `bf16` says (`quantization_options`).
        parts = ["bf16" if self.bf16 or self.nf4 else "float32"]
        parts += ["on nf4"] * self.nf4 + ["inference in fp16"] * self.fp16
        return " ".join(parts)

    @property
    def unusual(self) -> dict[str, object]:
        """What differs from most runs, by name."""
        settings = {"base": self.nf4 and "nf4", "inference": self.fp16 and "fp16"}
        return {name: value for name, value in settings.items() if value}


def has_bf16(device: str) -> bool:
    """Return whether the device multiplies bfloat16 matrices in hardware."""
    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return not BF16_UNITS.isdisjoint(_processor_flags())


@cache
def _processor_flags() -> frozenset[str]:
    """Return what this processor can do in Linux's words; none elsewhere."""
    if not CPU_INFO.is_file():
        return frozenset()
    lines = CPU_INFO.read_text(encoding="utf-8").splitlines()
    return frozenset(next((line.split() for line in lines if line.startswith("flags")), []))


def resolve_precision(products: str, quantise: str, inference: str, *, device: str, rank: int) -> Precision:
    """Return the number formats for a device and adapters of a rank (0: all weights are tuned).

    "auto" takes what the device has and logs what it does without; `ValueError` where 4-bit weights are asked
    for and cannot be had.

    Args:
        products: "auto", "bf16" or "float32" for the matrix products.
        quantise: "none", "nf4" or "auto" for the base weights.
        inference: "same", "fp16" or "auto" for the copy that writes and ranks.
        device: "cpu", "cuda" or "cuda:N".
        rank: The rank of the adapters.
    """
    # All weights tuned means float32: a small step would round to nothing in bfloat16's 8 bits.
    bf16 = {"bf16": True, "float32": False}.get(products, has_bf16(device)) and rank > 0
    if products == "bf16" and not rank:
        log.info("trainer.precision=bf16: without adapters all weights are tuned, and computed, in float32")
    elif products == "bf16" and device == "cpu" and not has_bf16(device):
        log.warning(
            "trainer.precision=bf16: this processor multiplies bfloat16 in software alone, which may take a "
            "hundred times as long; trainer.precision=auto takes float32 here"
        )
    missing = _missing_for_nf4(device, rank)
    if inference == "fp16" and not rank:
        log.info("trainer.inference_precision=fp16: without adapters the tuned weights infer, in float32")
    if quantise == "nf4" and missing:
        raise ValueError(
            f"base_llm.quantise=nf4 needs a CUDA device, the package {QUANTISER} and adapters "
            f"(here: {missing}); use base_llm.quantise=auto, or none"
        )
    if quantise == "auto" and missing:
        log.info("base_llm.quantise=auto: %s, so base weights are not 4-bit", missing)
    cpu = device == "cpu"
    if inference == "auto" and cpu:
        log.info("trainer.inference_precision=auto: the CPU infers with the tuned weights, not in fp16")
    fp16 = inference == "fp16" or (inference == "auto" and not cpu)
    return Precision(bf16, nf4=quantise != "none" and not missing, fp16=fp16 and rank > 0)


def _missing_for_nf4(device: str, rank: int) -> str:
    """Return what 4-bit weights lack here, "" where nothing."""
    reasons = {
        "no CUDA device": not device.startswith("cuda"),
        f"no {QUANTISER}": find_spec(QUANTISER) is None,
        "base_llm.lora.rank is 0": not rank,
    }
    return ", ".join(reason for reason, holds in reasons.items() if holds)


def quantization_options(*, nf4: bool, device: str) -> dict[str, Any]:
    """Return how transformers loads the base weights; 4-bit ones as released, without double quantisation."""
    if not nf4:
        return {}
    configuration: Any = transformers.BitsAndBytesConfig  # its constructor is untyped
    return {
        "device_map": {"": device},
        "quantization_config": configuration(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_compute_dtype=torch.bfloat16,
            bnb_4bit_use_double_quant=False,
        ),
    }
