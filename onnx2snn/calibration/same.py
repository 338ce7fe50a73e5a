"""Holds the canonical form against the original model, both run by onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator
from torch import Tensor

from onnx2snn.calibration.ann import Feed, activations
from onnx2snn.ops.errors import ModelError

TOLERANCE = 1e-3
HALF_TOLERANCE = 3e-2
# A number close to a step's edge may round to either side, and steps follow from steps.
QUANTISED_TOLERANCE = 0.2
NUDGE = 1e-6
_STAIRCASES = ("FakeQuantize", "DynamicFakeQuantize")


def check_canonical(
    original: onnx.ModelProto, canonical: onnx.ModelProto, found: Mapping[str, Tensor], feed: Feed
) -> None:
    """Raise ModelError where an output of the canonical form differs from the model's.

    found: the outputs of the canonical form on `feed`. They may differ by rounding, which a model
    with huge activations amplifies: ten times as much as an input changed in its last digits does,
    or as onnx's own evaluator differs from onnxruntime.
    """
    expected = activations(original, list(found), feed)
    quantised = any(node.op_type in _STAIRCASES for node in canonical.graph.node)
    distances = {name: _distance(found[name], expected[name]) for name in found}
    far = [n for n, d in distances.items() if d > _tolerance(expected[n], quantised)]
    if not far:
        return
    others = (
        activations(original, far, {name: _nudged(array) for name, array in feed.items()}),
        _by_reference(original, far, feed),
    )
    for name in far:
        noise = max(_distance(o[name], expected[name]) for o in others if name in o)
        if distances[name] > 10 * noise:
            raise ModelError(
                f"output '{name}' of the canonical form differs from the model's by "
                f"{distances[name]:.2g}; this is a fault of onnx2snn, please report it"
            )


def _by_reference(model: onnx.ModelProto, names: Sequence[str], feed: Feed) -> dict[str, Tensor]:
    """The outputs by onnx's own evaluator, nothing where it lacks an operator."""
    try:
        results = ReferenceEvaluator(model).run(list(names), dict(feed))
        return {n: torch.from_numpy(np.asarray(r)) for n, r in zip(names, results, strict=True)}
    except Exception:  # it raises whatever numpy does
        return {}


def _distance(a: Tensor, b: Tensor) -> float:
    """Relative to the norm of b."""
    first, second = (torch.nan_to_num(x.double()) for x in (a, b))
    return float((first - second).norm() / second.norm().clamp_min(1e-3))


def _tolerance(output: Tensor, quantised: bool) -> float:
    if quantised:
        return QUANTISED_TOLERANCE
    return HALF_TOLERANCE if output.dtype in (torch.float16, torch.bfloat16) else TOLERANCE


def _nudged(array: NDArray[Any]) -> NDArray[Any]:
    return array * array.dtype.type(1 + NUDGE) if array.dtype.kind == "f" else array
