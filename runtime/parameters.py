"""The tensors of a plan: its constants and the checked parameters of its sites."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from onnx2snn.ops.errors import ModelError
from onnx2snn.ops.operator import PARAMETERS_PER_SITE
from onnx2snn.runtime.plan import Plan, SiteStep
from onnx2snn.runtime.state import Parameters


def _array(plan: Plan, step: SiteStep, key: str) -> NDArray[np.float64]:
    name = step.parameters.get(key, "")
    array = plan.constants.get(name)
    if array is None:
        raise ModelError(
            f"site '{step.site.name}': its {key.replace('_', ' ')} '{name}' is missing; "
            "convert the model again"
        )
    if array.dtype.kind != "f" or not np.isfinite(array).all():
        raise ModelError(
            f"site '{step.site.name}': '{name}' must hold finite floating-point numbers; "
            "convert the model again"
        )
    return array.astype(np.float64)


def _check(
    step: SiteStep,
    scale: NDArray[np.float64],
    step_sizes: NDArray[np.float64],
    thresholds: NDArray[np.float64],
) -> None:
    if step_sizes.ndim < 1 or step_sizes.shape[0] < 1:
        raise ModelError(
            f"site '{step.site.name}': step sizes need a leading time axis, "
            f"not shape {list(step_sizes.shape)}; convert the model again"
        )
    if thresholds.shape[:1] != step_sizes.shape[:1]:
        raise ModelError(
            f"site '{step.site.name}': thresholds of shape {list(thresholds.shape)} do not fit "
            f"{step_sizes.shape[0]} time steps; convert the model again"
        )
    if (scale <= 0).any() or (step_sizes < 0).any():
        raise ModelError(
            f"site '{step.site.name}': scale and step sizes must be positive; "
            "convert the model again"
        )


def read_parameters(plan: Plan, device: torch.device, dtype: torch.dtype) -> dict[str, Parameters]:
    """Parameters of every site, by its name."""
    result = {}
    for step in plan.sites:
        arrays = [_array(plan, step, key) for key in PARAMETERS_PER_SITE]
        scale, _, step_sizes, thresholds = arrays
        _check(step, scale, step_sizes, thresholds)

        def tensor(array: NDArray[np.float64]) -> Tensor:
            return torch.from_numpy(np.array(array)).to(device, dtype)

        try:
            result[step.site.name] = Parameters.of(*map(tensor, arrays))
        except RuntimeError as error:
            raise ModelError(
                f"site '{step.site.name}': a scale of shape {list(scale.shape)} does not fit step "
                f"sizes of shape {list(step_sizes.shape)} and thresholds of shape "
                f"{list(thresholds.shape)}; convert the model again"
            ) from error
    return result


def check_fit(site: str, parameters: Parameters, neurons: Tensor) -> None:
    """Raise ModelError unless step sizes and thresholds broadcast to the site's neurons."""
    for what, tensor in (
        ("step sizes", parameters.step_sizes),
        ("thresholds", parameters.thresholds),
    ):
        shape = tensor.shape[1:]
        try:
            neurons.new_empty(()).expand(shape).expand(neurons.shape)
        except RuntimeError as error:
            raise ModelError(
                f"site '{site}': {what} of shape {list(shape)} per step do not fit neurons of "
                f"shape {list(neurons.shape)}; convert the model again"
            ) from error


def constants_on(plan: Plan, device: torch.device, dtype: torch.dtype) -> dict[str, Tensor]:
    """Constants as tensors: floating ones in `dtype` on `device`, integers on the CPU."""
    tensors = {}
    for name, array in plan.constants.items():
        if array.dtype.name == "bfloat16":
            array = array.astype(np.float32)
        if array.dtype.kind not in "fiub":
            continue
        tensor = torch.from_numpy(np.array(array))
        if tensor.is_floating_point():
            tensor = tensor.to(device, dtype)
        tensors[name] = tensor.to(device) if tensor.dtype == torch.bool else tensor
    return tensors
