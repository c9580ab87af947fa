"""Frozen layers in shards: each process of a group holds a part of each one's weights (Zhao et al. 2023)."""

from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard


def shard(base_model: Any, device: torch.device) -> None:
    """Leave this process its part of each layer's frozen weights; a pass gathers one layer after the other.

    Tuned weights stay whole everywhere, and so do embeddings, output layer and last norm, which are used
    outside of layers. All processes then have to pass through the model equally often.
    """
    mesh = init_device_mesh(device.type, (dist.get_world_size(),))
    decoder = base_model.base_model
    layers = next(module for module in decoder.children() if isinstance(module, nn.ModuleList))
    for layer in layers:
        tuned = {weight for weight in layer.parameters() if weight.requires_grad}
        fully_shard(layer, mesh=mesh, reshard_after_forward=True, ignored_params=tuned)
    # A common root with no weights of its own: without one, layers would not gather ahead of each other.
    fully_shard(decoder, mesh=mesh, ignored_params=set(decoder.parameters()))
