"""What passes by the neurons of a site: f(x) = c l(x) + d(x), of which they send d alone.

l is linear. The spikes that make x go on to what reads f(x), without being sent anew, and with
c = cov(l, f) / var(l) the neurons send what a linear regression leaves. l(x) is

    of a function of a neuron's row    x - mean(x), or x where rows are not centred
    of a function of a window          the mean of its members
    of any other function              x
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import reduce
from operator import add
from typing import Any

from torch import Tensor

from onnx2snn.ops.target import Moments, Remainder, Rowwise, Target, Windowed
from onnx2snn.ops.windows import Windows

# Appends a node and names its result; Lowering and the exporter's Writer have one each.
Call = Callable[..., str]
Constant = Callable[[Sequence[int]], str]


def may_pass(target: Target) -> bool:
    """Whether l(x) is known: windows must not depend on how long their axes are."""
    if target.arity != 1 or target.fires is not None:
        return False
    return target.windowed is None or _is_plain(target.windowed.windows)


def normalises(target: Target) -> bool:
    """Whether the target function normalises rows."""
    return target.rowwise is not None and isinstance(target.rowwise.statistics, Moments)


def linear_part(target: Target, x: Tensor) -> Tensor:
    """l(x)."""
    if target.rowwise is not None and _is_centred(target.rowwise):
        return x - x.mean(target.rowwise.axes, keepdim=True)
    if target.windowed is not None:
        windows = target.windowed.windows
        return sum(windows.members(x), start=x.new_zeros(())) / windows.size
    return x


def write_linear_part(target: Target, x: str, constant: Constant, call: Call) -> str:
    """The same as ONNX nodes; the name of its value."""
    if target.rowwise is not None and _is_centred(target.rowwise):
        return call("Sub", x, call("ReduceMean", x, constant(target.rowwise.axes), keepdims=1))
    if target.windowed is not None:
        return _write_means(target.windowed.windows, x, constant, call)
    return x


def _is_centred(rowwise: Rowwise) -> bool:
    return isinstance(rowwise.statistics, Moments) and rowwise.statistics.centred


def _is_plain(windows: Windows) -> bool:
    return all(
        g.dilation == 1 and not g.ceil_mode and g.auto_pad in ("NOTSET", "VALID")
        for g in windows.geometries
    )


def _write_means(windows: Windows, x: str, constant: Constant, call: Call) -> str:
    """Means of windows whose members outside the tensor are the nearest ones inside."""
    geometries = windows.geometries
    pads = [g.padding(0)[side] for side in (0, 1) for g in geometries]
    if any(pads):
        axes = constant(range(-len(geometries), 0))
        x = call("Pad", x, constant(pads), "", axes, mode="edge")
    kernel, strides = [g.kernel for g in geometries], [g.stride for g in geometries]
    return call("AveragePool", x, kernel_shape=kernel, strides=strides)


def remainder(whole: Target, slope: float) -> Target:
    """d(x) = f(x) - c l(x), c = `slope`, a function of what f is one of."""
    windowed = None if whole.windowed is None else _of_window(whole.windowed, slope)

    def function(x: Tensor) -> Tensor:
        if windowed is not None:
            return windowed.function(*windowed.windows.members(x))
        return whole(x) - slope * linear_part(whole, x)

    return Target(
        f"{whole.name} but {slope:g} of its linear part",
        1,
        function,
        windowed=windowed,
        rowwise=None if whole.rowwise is None else _of_row(whole.rowwise, slope),
        remainder=Remainder(whole, slope),
    )


def _of_window(windowed: Windowed, slope: float) -> Windowed:
    over, share = windowed.function, slope / windowed.windows.size

    def function(*members: Any) -> Any:
        return over(*members) - share * reduce(add, members)

    return Windowed(windowed.windows, Target(f"{over.name} but means", over.arity, function))


def _of_row(rowwise: Rowwise, slope: float) -> Rowwise:
    over, centred = rowwise.function, _is_centred(rowwise)

    def function(x: Any, m: Any, r: Any) -> Any:
        return over(x, m, r) - slope * (x - m if centred else x)

    return replace(rowwise, function=Target(f"{over.name} but x", 3, function))
