"""Networks in the form that converters of PyTorch modules read."""

from __future__ import annotations

import torch
import torch.fx
import torch.nn.functional as F
from torch import nn

MODULES = {
    F.relu: nn.ReLU,
    F.gelu: nn.GELU,
    torch.relu: nn.ReLU,
    F.adaptive_avg_pool2d: nn.AdaptiveAvgPool2d,
}


def with_modules(network: nn.Module) -> nn.Module:
    """The network with calls of functions made modules, which alone these peers convert."""
    traced = torch.fx.symbolic_trace(network)
    for i, node in enumerate(list(traced.graph.nodes)):
        if node.op == "call_function" and node.target in MODULES:
            traced.add_module(f"module_{i}", MODULES[node.target](*node.args[1:]))
            with traced.graph.inserting_after(node):
                module = traced.graph.call_module(f"module_{i}", node.args[:1])
            node.replace_all_uses_with(module)
            traced.graph.erase_node(node)
    traced.recompile()
    return traced
