"""MaxPool (ONNX MaxPool-22) and GlobalMaxPool (ONNX GlobalMaxPool-22): sites of maxima.

With `sites` "tree", the paper's form, a window of k values along one axis becomes a balanced
tree of binary maximum sites, depth ceil(log2 k); the axes follow one another (rows, then
columns). With "fused" it becomes a single site that takes all its values at once, and so does
a whole window of up to `MOST_MEMBERS` values: fewer sites that wait for one another. Both are
exact max pooling. Values below `floor` count as `floor`, so a Relu in front can be merged.

With "chain", bit for bit the paper's own code, the tensor is padded with -200, and each axis
becomes a chain of k - 1 binary sites: the first two members, their maximum and the third, and so
on. A link of the chain has as many neurons as there are windows that reach its member.

Elsewhere, instead of padding, a member of a window that lies outside the tensor is replaced by the
nearest member inside (max is idempotent), so no padding value enters the dynamics.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from onnx2snn.ops.errors import ModelError
from onnx2snn.ops.extremum import largest, largest_in, maximum, paper_maximum
from onnx2snn.ops.lowering import Lowering
from onnx2snn.ops.operator import DOMAIN, Attribute, SpikingOperator
from onnx2snn.ops.windows import Geometry, Windows

PAPER_PADDING = -200.0
MOST_MEMBERS = 9
LOWEST = -3.4028234663852886e38


def _window(
    lowering: Lowering, x: str, members: Sequence[int], axis: int, geometry: Geometry
) -> str:
    """The given members of every window along `axis`, member after member."""
    attributes = {**asdict(geometry), "members": list(members)}
    return lowering.linear("Window", x, domain=DOMAIN, axis=axis, **attributes)


def _tree(lowering: Lowering, x: str, axis: int, name: str, geometry: Geometry) -> str:
    """Maximum of every window along `axis`, counted from the last."""
    size = geometry.kernel
    if size == 1:
        return _window(lowering, x, [0], axis, geometry)
    even, odd = range(0, size - 1, 2), range(1, size, 2)
    left = _window(lowering, x, even, axis, geometry)
    right = _window(lowering, x, odd, axis, geometry)
    members = _join(lowering, left, right, len(odd), axis, f"{name}0")
    if size % 2:
        members.append(_window(lowering, x, [size - 1], axis, geometry))
    level = 1
    while len(members) > 1:
        pairs = len(members) // 2
        left = _concatenate(lowering, members[0 : 2 * pairs : 2], axis)
        right = _concatenate(lowering, members[1 : 2 * pairs : 2], axis)
        left_over = members[2 * pairs :]
        members = _join(lowering, left, right, pairs, axis, f"{name}{level}") + left_over
        level += 1
    return members[0]


def _join(lowering: Lowering, left: str, right: str, pairs: int, axis: int, name: str) -> list[str]:
    """One site for the maxima of `pairs` pairs of members, and its result split into them."""
    joined = lowering.site(name, maximum(), left, right)
    return [joined] if pairs == 1 else lowering.split(joined, pairs, axis)


def _concatenate(lowering: Lowering, members: list[str], axis: int) -> str:
    return members[0] if len(members) == 1 else lowering.linear("Concat", *members, axis=axis)


def _chain(lowering: Lowering, x: str, axis: int, name: str, geometry: Geometry) -> str:
    """Maximum of every window along `axis`, member after member."""
    after: dict[str, Any] = {"end": axis + 1} if axis < -1 else {}
    whole = replace(geometry, pads=(0, 0))
    result = _window(lowering, x, [0], axis, replace(whole, kernel=1))
    for member in range(1, geometry.kernel):
        following = _window(lowering, x, [member], axis, replace(whole, kernel=member + 1))
        count = lowering.linear("Shape", following, start=axis, **after)
        start, along = lowering.constant([0]), lowering.constant([axis])
        result = lowering.linear("Slice", result, start, count, along)
        result = lowering.site(f"{name}{member - 1}", paper_maximum(), result, following)
    return result


def _padded(lowering: Lowering, x: str, geometries: Sequence[Geometry]) -> str:
    """`x` with the paper's padding around it."""
    pads = [g.pads[side] for side in (0, 1) for g in geometries]
    if any(g.auto_pad not in ("NOTSET", "VALID") or g.ceil_mode for g in geometries):
        raise ModelError("a chain of sites takes neither 'SAME' padding nor 'ceil_mode'")
    if not any(pads) or geometries[0].auto_pad == "VALID":
        return x
    amounts, axes = lowering.constant(pads), lowering.constant(range(-len(geometries), 0))
    return lowering.linear("Pad", x, amounts, lowering.number(PAPER_PADDING), axes)


AXIS_NAMES = {1: ("columns",), 2: ("rows", "columns"), 3: ("planes", "rows", "columns")}


def _pool(
    lowering: Lowering, x: str, geometries: Sequence[Geometry], attributes: Mapping[str, Any]
) -> str:
    """Maximum of every window over the last axes, one geometry for each of them."""
    rank, floor = len(geometries), attributes["floor"]
    if rank not in AXIS_NAMES:
        raise ModelError(f"max pooling over {rank} axes is not supported; it takes 1 to 3")
    if attributes["sites"] == "chain":
        x = _padded(lowering, x, geometries)
        for i, name in enumerate(AXIS_NAMES[rank]):
            x = _chain(lowering, x, i - rank, name, geometries[i])
        return x
    if attributes["sites"] == "tree":
        for i, name in enumerate(AXIS_NAMES[rank]):
            x = _tree(lowering, x, i - rank, name, geometries[i])
        return x if floor <= LOWEST else lowering.site("floor", largest(1, floor), x)
    if Windows(tuple(geometries)).size <= MOST_MEMBERS:
        return lowering.site("window", largest_in(Windows(tuple(geometries)), floor), x)
    for i, name in enumerate(AXIS_NAMES[rank]):
        x = lowering.site(name, largest_in(_along(geometries, i), floor), x)
    return x


def _along(geometries: Sequence[Geometry], axis: int) -> Windows:
    """Windows along one of the axes."""
    shared = geometries[axis]
    still = Geometry(1, ceil_mode=shared.ceil_mode, auto_pad=shared.auto_pad)
    return Windows(tuple(g if i == axis else still for i, g in enumerate(geometries)))


def _build_pool(
    lowering: Lowering, operands: tuple[str, ...], attributes: Mapping[str, Any]
) -> str:
    (x,) = operands
    kernel = attributes["kernel_shape"] or []
    rank = len(kernel)
    if not rank or min(kernel) < 1:
        raise ModelError(f"attribute 'kernel_shape' is {kernel}; it needs positive sizes")
    strides = attributes["strides"] or [1] * rank
    dilations = attributes["dilations"] or [1] * rank
    pads = attributes["pads"] or [0] * (2 * rank)
    if (len(strides), len(dilations), len(pads)) != (rank, rank, 2 * rank):
        raise ModelError(f"strides, dilations and pads do not fit a kernel of {rank} axes")
    if min(*strides, *dilations) < 1 or min(pads) < 0:
        raise ModelError(
            f"strides {strides}, dilations {dilations} and pads {pads}: strides and dilations "
            "must be positive, pads not negative"
        )
    geometries = [
        Geometry(
            kernel=kernel[i],
            stride=strides[i],
            dilation=dilations[i],
            pads=(pads[i], pads[i + rank]),
            ceil_mode=attributes["ceil_mode"],
            auto_pad=attributes["auto_pad"],
        )
        for i in range(rank)
    ]
    return _pool(lowering, x, geometries, attributes)


def _build_global(
    lowering: Lowering, operands: tuple[str, ...], attributes: Mapping[str, Any]
) -> str:
    (x,) = operands
    extents = attributes["extents"] or []
    if not extents or min(extents) < 1:
        raise ModelError(f"attribute 'extents' is {extents}; it needs positive sizes")
    return _pool(lowering, x, [Geometry(extent) for extent in extents], attributes)


SITES = (
    Attribute("sites", "string", "tree", ("tree", "fused", "chain")),
    Attribute("floor", "float", LOWEST),
)
FLOOR = """
    floor = Constant <value_float: float = @floor> ()
    typed = CastLike (floor, pooled)
    Y = Max (pooled, typed)
"""

MAX_POOL = SpikingOperator(
    source="MaxPool",
    equation="f(x)_i = max over the window at i, and the floor",
    build=_build_pool,
    attributes=(
        Attribute("auto_pad", "string", "NOTSET", ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")),
        Attribute("ceil_mode", "int", 0),
        Attribute("dilations", "ints"),
        Attribute("kernel_shape", "ints"),
        Attribute("pads", "ints"),
        Attribute("storage_order", "int", 0),
        Attribute("strides", "ints"),
        *SITES,
    ),
    body=f"""
    pooled = MaxPool <auto_pad: string = @auto_pad, ceil_mode: int = @ceil_mode,
        dilations: ints = @dilations, kernel_shape: ints = @kernel_shape, pads: ints = @pads,
        storage_order: int = @storage_order, strides: ints = @strides> (X)
    {FLOOR}""",
)

GLOBAL_MAX_POOL = SpikingOperator(
    source="GlobalMaxPool",
    equation="f(x) = max over all spatial positions, whose extents the attribute holds",
    build=_build_global,
    attributes=(Attribute("extents", "ints"), *SITES),
    body=f"pooled = GlobalMaxPool (X) {FLOOR}",
)
