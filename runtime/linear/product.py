"""Matrix products and normalisation by constants: Gemm, MatMul, Einsum, BatchNormalization."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import linear

from onnx2snn.ops.errors import ModelError
from onnx2snn.runtime.linear.arguments import needed, needed_attribute, optional, present
from onnx2snn.runtime.linear.record import Attributes, LinearOperator, Operands


def _matmul(operands: Operands, attributes: Attributes) -> list[Tensor]:
    """MatMul-13: y = a b over the last two axes, the others broadcast as in numpy."""
    return [torch.matmul(needed(operands, 0), needed(operands, 1))]


def _matmul_macs(operands: Operands, results: Sequence[Tensor], attributes: Attributes) -> int:
    return results[0].numel() * needed(operands, 0).shape[-1]


def _gemm(operands: Operands, attributes: Attributes) -> list[Tensor]:
    """Gemm-13: y = alpha op(a) op(b) + beta c, where op transposes if transA or transB."""
    left, right, bias = needed(operands, 0), needed(operands, 1), optional(operands, 2)
    alpha, beta = attributes.get("alpha", 1.0), attributes.get("beta", 1.0)
    if left.ndim != 2 or right.ndim != 2:
        raise ModelError(f"matrices expected, operands have ranks {left.ndim} and {right.ndim}")
    if attributes.get("transA", 0):
        left = left.t()
    if attributes.get("transB", 0) and alpha == 1.0:
        product = linear(left, right)
    else:
        product = left @ (right.t() if attributes.get("transB", 0) else right)
        product = product if alpha == 1.0 else product * alpha
    if bias is None:
        return [product]
    return [product + (bias if beta == 1.0 else bias * beta)]


def _gemm_macs(operands: Operands, results: Sequence[Tensor], attributes: Attributes) -> int:
    inner = needed(operands, 0).shape[0 if attributes.get("transA", 0) else 1]
    return results[0].numel() * inner


def _einsum(operands: Operands, attributes: Attributes) -> list[Tensor]:
    """Einsum-28: the sum of products that `equation` spells, linear in each operand."""
    return [torch.einsum(str(needed_attribute(attributes, "equation")), *present(operands))]


def _einsum_macs(operands: Operands, results: Sequence[Tensor], attributes: Attributes) -> int:
    """One multiplication per further operand and point of the whole index space."""
    terms = str(attributes["equation"]).replace(" ", "").split("->")[0].split(",")
    extent: dict[str, int] = {}
    for term, operand in zip(terms, present(operands), strict=True):
        letters = len(term.replace("...", ""))
        broadcast = "".join(chr(0x2460 + axis) for axis in range(operand.ndim - letters))
        # Broadcast axes are aligned at the right: the last is always the first of these names.
        for label, size in zip(term.replace("...", broadcast[::-1]), operand.shape, strict=True):
            extent[label] = max(extent.get(label, 1), size)
    points = 1
    for size in extent.values():
        points *= size
    return points * (len(terms) - 1)


def normalisation(operands: Operands, attributes: Attributes, rank: int) -> Tensor:
    """What BatchNormalization multiplies centred data of this rank by."""
    gain = needed(operands, 1) * torch.rsqrt(needed(operands, 4) + attributes.get("epsilon", 1e-5))
    return gain.reshape((-1,) + (1,) * (rank - 2))


def _batch_normalization(operands: Operands, attributes: Attributes) -> list[Tensor]:
    """BatchNormalization-15 in inference: y = (x - mean) / sqrt(var + epsilon) * scale + bias."""
    if attributes.get("training_mode", 0):
        raise ModelError("training_mode is 1; export the model for inference")
    data, bias, mean = (needed(operands, position) for position in (0, 2, 3))
    gain = normalisation(operands, attributes, data.ndim)
    return [(data - mean.reshape(gain.shape)) * gain + bias.reshape(gain.shape)]


PRODUCT = (
    LinearOperator("MatMul", _matmul, factors=(0, 1), macs=_matmul_macs),
    LinearOperator("Gemm", _gemm, factors=(0, 1), summands=(2,), macs=_gemm_macs),
    LinearOperator("Einsum", _einsum, factors=tuple(range(8)), macs=_einsum_macs),
    LinearOperator(
        "BatchNormalization",
        _batch_normalization,
        factors=(),
        summands=(0, 2, 3),
        batched=True,
    ),
)
