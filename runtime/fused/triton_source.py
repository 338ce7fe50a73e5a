"""Triton source of a fused site kernel, for CUDA devices.

One program runs a block of neurons through all time steps, currents and estimates in
registers: per step it reads one increment per operand and writes one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from onnx2snn.ops.target import Powers, Rowwise, Windowed
from onnx2snn.runtime.fused.expression import Expression, Instruction

_INFIX = {
    **{"add": "+", "sub": "-", "mul": "*", "div": "/", "gt": ">", "ge": ">=", "lt": "<"},
    **{"le": "<=", "eq": "==", "and": "&", "or": "|"},
}
_CALLS = {
    **{"max": "tl.maximum", "min": "tl.minimum", "where": "tl.where", "abs": "tl.abs"},
    **{"exp": "tl.exp", "log": "tl.log", "erf": "tl.erf", "sqrt": "tl.sqrt_rn"},
    **{"floor": "tl.floor", "ceil": "tl.ceil", "log1p": "log1p", "tanh": "tanh"},
}
_CONSTANTS = """
CENTRED = tl.constexpr({centred})
EPSILON = tl.constexpr({epsilon!r})
"""
_FIRING = {
    "binary": """
        s = v >= g
        d = tl.where(s, -eta, eta)""",
    "ternary": """
        s = tl.abs(v - g) > 0.5 * eta
        d = tl.where(s, tl.where(v - g >= 0.0, -eta, eta), 0.0)""",
}
_HEAD = """import triton
import triton.language as tl
{constants}

@triton.jit
def log1p(x):
    u = 1.0 + x
    return tl.where(u == 1.0, x, tl.log(u) * (x / tl.where(u == 1.0, 1.0, u - 1.0)))


@triton.jit
def tanh(x):
    a = tl.abs(x)
    s = x * x
    p = s * (-0.333333343 + s * (0.133333012 + s * (-0.0539586246 + s * (0.0217636339
        + s * (-0.008326401 + s * 0.00227270368)))))
    large = 1.0 - 2.0 / (tl.exp(2.0 * a) + 1.0)
    return tl.where(a < 0.6, p * x + x, tl.where(x < 0.0, -large, large))


@triton.jit
def site({operands}
         v_ptr, eta_ptr, theta_ptr, sizes, bounds, dv_ptr, spikes_ptr, n, begin, end, start, stop,
         {sizes}):
{index}
    v = tl.load(v_ptr + index, inside, 0.0)
    fired = tl.zeros({shape}, tl.int32)
{load}
    for step in range(begin, end):
        t = tl.zeros({shape}, tl.int64) + step
{charge}
        firing = inside & (t >= start) & (t < stop)
        eta = tl.load(eta_ptr + (t - start) * sizes + index % sizes, firing, 0.0)
        theta = tl.load(theta_ptr + (t - start) * bounds + index % bounds, firing, 0.0)
{body}
        g = {result} + theta{fire}
        d = tl.where(firing, d, 0.0)
        v = v + d
        tl.store(dv_ptr + (t - start) * n + index, d, firing)
        fired += (s & firing).to(tl.int32)
    tl.store(v_ptr + index, v, inside)
{store}
    tl.atomic_add(spikes_ptr, tl.sum(fired).to(tl.int64))
"""


def _statement(instruction: Instruction) -> str:
    name, args = instruction.primitive, [_literal(a) for a in instruction.arguments]
    if name in _INFIX:
        value = f"{args[0]} {_INFIX[name]} {args[1]}"
    elif name == "neg":
        value = f"-{args[0]}"
    else:
        value = f"{_CALLS[name]}({', '.join(args)})"
    return f"        {instruction.result} = {value}"


def _literal(value: str | float) -> str:
    return value if isinstance(value, str) else f"({value!r})".replace("inf", 'float("inf")')


@dataclass(frozen=True)
class _Operands:
    """Pieces of source: the arguments, and what is done about every operand i.

    begin:    before any of it.
    together: whether pieces come once for all operands.
    index:    which neurons a program runs, `shape`: how many, and `sizes`: how it is told.
    """

    arguments: str
    begin: str
    load: str
    charge: str
    store: str
    together: bool = False
    sizes: str = "BLOCK: tl.constexpr"
    shape: str = "[BLOCK]"
    index: str = """    index = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = index < n"""


_OWN = _Operands(
    arguments="x{i}_ptr, dx{i}_ptr, y{i}_ptr, rows{i}, from{i}, to{i},",
    begin="",
    load="    x{i} = tl.load(x{i}_ptr + index // rows{i}, inside, 0.0)",
    charge="""        size{i} = (n + rows{i} - 1) // rows{i}
        d = tl.load(dx{i}_ptr + (t - from{i}) * size{i} + index // rows{i},
                    inside & (t >= from{i}) & (t < to{i}), 0.0)
        x{i} = x{i} + d""",
    store="    tl.store(y{i}_ptr + index // rows{i}, x{i}, inside)",
)
# As in `operands_source`.
_WINDOWED = _Operands(
    arguments="",
    begin="""    part = index // run // windows * cells
    window = index // run % windows
""",
    load="""    place{i} = part + tl.load(places_ptr + {i} * windows + window, inside, 0)
    at{i} = place{i} * run + index % run
    x{i} = tl.load(x_ptr + at{i}, inside, 0.0)""",
    charge="""        d = tl.load(dx_ptr + (t - first) * size + at{i},
                    inside & (t >= first) & (t < last), 0.0)
        x{i} = x{i} + d""",
    store="",
)
_WINDOWED_ARGUMENTS = "x_ptr, dx_ptr, size, first, last, places_ptr, windows, cells, run,"
_ROWS = _Operands(
    arguments="x_ptr, dx_ptr, y_ptr, first, last, length,",
    begin="",
    load="    x = tl.load(x_ptr + index, inside, 0.0)",
    charge="""        x += tl.load(dx_ptr + (t - first) * n + index,
                     inside & (t >= first) & (t < last), 0.0)
{statistics}""",
    store="    tl.store(y_ptr + index, x, inside)",
    together=True,
    sizes="ROWS: tl.constexpr, WIDTH: tl.constexpr",
    shape="[ROWS, WIDTH]",
    index="""    rows = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    columns = tl.arange(0, WIDTH)
    index = rows[:, None] * length + columns[None, :]
    inside = (columns[None, :] < length) & (index < n)""",
)
_MOMENTS = """        mean = tl.sum(x, 1) / length if CENTRED else tl.sum(x, 1) * 0.0
        centred = tl.where(inside, x - mean[:, None], 0.0)
        factor = 1.0 / tl.sqrt_rn(tl.sum(centred * centred, 1) / length + EPSILON)
        x0, x1, x2 = x, mean[:, None], factor[:, None]"""
_POWERS = """        most = tl.max(tl.where(inside, x, float("-inf")), 1)
        most = tl.where(most == float("-inf"), 0.0, most)
        power = tl.where(inside, tl.exp(x - most[:, None]), 0.0)
        total = tl.sum(power, 1)
        factor = tl.where(total > 0.0, 1.0 / tl.where(total > 0.0, total, 1.0), 0.0)
        x0, x1, x2 = x, power, factor[:, None]"""


def _over_rows(rowwise: Rowwise) -> tuple[_Operands, str]:
    """Operands that are a tensor and the statistics of its rows, and the constants these need."""
    statistics = rowwise.statistics
    if isinstance(statistics, Powers):
        return replace(_ROWS, charge=_ROWS.charge.format(statistics=_POWERS)), ""
    constants = _CONSTANTS.format(centred=statistics.centred, epsilon=float(statistics.epsilon))
    return replace(_ROWS, charge=_ROWS.charge.format(statistics=_MOMENTS)), constants


def triton_source(expression: Expression, alphabet: str, over: Windowed | Rowwise | None) -> str:
    """The source of a module whose function `site` is the kernel.

    over: what the operands of the expression are, if not the site's own.
    """
    operands, arguments, constants = _OWN, None, ""
    if isinstance(over, Windowed):
        operands, arguments = _WINDOWED, _WINDOWED_ARGUMENTS
    if isinstance(over, Rowwise):
        (operands, constants), arguments = _over_rows(over), _ROWS.arguments

    def each(template: str) -> str:
        count = 1 if operands.together else expression.arity
        return "\n".join(template.format(i=i) for i in range(count))

    return _HEAD.format(
        constants=constants,
        operands=arguments or each(operands.arguments).replace("\n", " "),
        sizes=operands.sizes,
        shape=operands.shape,
        index=operands.index,
        load=operands.begin + each(operands.load),
        charge=each(operands.charge),
        body="\n".join(_statement(i) for i in expression.instructions),
        result=_literal(expression.result),
        fire=_FIRING[alphabet],
        store=each(operands.store),
    )
