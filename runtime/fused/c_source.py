"""C source of a fused site kernel.

A kernel takes memory in chunks that fit the first-level cache. Of each chunk it loads currents
and estimates once, runs all time steps of the block, and stores them once; per step it reads
one increment per operand and writes one.
"""

from __future__ import annotations

import math

from onnx2snn.runtime.fused.expression import Expression, Instruction

CHUNK = 512
MOST_OPERANDS = 16

# Polynomials are least-squares fits on the intervals in which they are used, within 2 units in
# the last place of float32; branches are selects, so that compilers vectorise them.
PRELUDE = r"""
#include <math.h>
#include <stdint.h>
#include <string.h>
#define CHUNK @CHUNK@
static inline float bits_float(int32_t i) { float f; memcpy(&f, &i, 4); return f; }
static inline int32_t float_bits(float f) { int32_t i; memcpy(&i, &f, 4); return i; }
static inline float op_exp(float x) {
  float c = x < -87.3f ? -87.3f : (x > 88.7f ? 88.7f : x);
  float n = rintf(c * 1.44269504f);
  float r = (c - n * 0.693145752f) - n * 1.42860677e-6f;
  float p = 0.000198993192f;
  p = p * r + 0.00139336765f; p = p * r + 0.00833329838f; p = p * r + 0.041666463f;
  p = p * r + 0.166666672f; p = p * r + 0.5f;
  p = p * r * r + r + 1.0f;
  float y = p * bits_float(((int32_t)n + 127) << 23);
  y = x < -87.3f ? 0.0f : y;
  return x > 88.7f ? INFINITY : y;
}
static inline float op_log(float x) {
  int32_t i = float_bits(x);
  int32_t e = ((i - 0x3f3504f3) >> 23);
  float f = bits_float(i - (int32_t)((uint32_t)e << 23)) - 1.0f;
  float p = -0.0786666796f;
  p = p * f + 0.128217489f; p = p * f - 0.131016344f; p = p * f + 0.141890004f;
  p = p * f - 0.166275993f; p = p * f + 0.200019687f; p = p * f - 0.250007719f;
  p = p * f + 0.333333224f; p = p * f - 0.49999997f;
  float y = (float)e * 0.693147181f + (p * f * f + f);
  y = x > 0.0f ? y : (x == 0.0f ? -INFINITY : NAN);
  return x == INFINITY ? INFINITY : y;
}
static inline float op_log1p(float x) {
  float u = 1.0f + x, d = u - 1.0f;
  float y = op_log(u) * (x / (d == 0.0f ? 1.0f : d));
  return d == 0.0f ? x : (u == INFINITY ? INFINITY : y);
}
static inline float op_erf(float x) {
  float a = fabsf(x), s = x * x;
  float p = 7.88249745e-05f;
  p = p * s - 0.00080188555f; p = p * s + 0.00518931216f; p = p * s - 0.0268543288f;
  p = p * s + 0.112835974f; p = p * s - 0.37612626f; p = p * s + 0.128379166f;
  float t = a > 4.0f ? 4.0f : a;
  float q = -8.82866914e-07f;
  q = q * t + 1.41499277e-05f; q = q * t - 7.70822808e-05f; q = q * t - 4.7134301e-05f;
  q = q * t + 0.00321281794f; q = q * t - 0.0235765502f; q = q * t + 0.106662035f;
  q = q * t + 0.6344136f; q = q * t + 1.12911344f; q = q * t - 0.000108906105f;
  float large = copysignf(1.0f - op_exp(-q), x);
  return a < 1.0f ? p * x + x : large;
}
static inline float op_tanh(float x) {
  float a = fabsf(x), s = x * x;
  float p = 0.00227270368f;
  p = p * s - 0.008326401f; p = p * s + 0.0217636339f; p = p * s - 0.0539586246f;
  p = p * s + 0.133333012f; p = p * s - 0.333333343f;
  float large = copysignf(1.0f - 2.0f / (op_exp(2.0f * a) + 1.0f), x);
  return a < 0.6f ? p * s * x + x : large;
}
"""

_INFIX = {
    **{"add": "+", "sub": "-", "mul": "*", "div": "/", "gt": ">", "ge": ">=", "lt": "<"},
    **{"le": "<=", "eq": "==", "and": "&", "or": "|"},
}
_LOGICAL = ("gt", "ge", "lt", "le", "eq", "and", "or")
_CALLS = {
    **{name: f"op_{name}" for name in ("exp", "log", "log1p", "erf", "tanh")},
    **{"abs": "fabsf", "sqrt": "sqrtf", "floor": "floorf", "ceil": "ceilf"},
}


def _literal(value: str | float) -> str:
    if isinstance(value, str):
        return value
    if math.isinf(value):
        return "INFINITY" if value > 0 else "(-INFINITY)"
    return f"({value!r}f)" if "." in repr(value) or "e" in repr(value) else f"({value!r}.0f)"


def _statement(instruction: Instruction) -> str:
    name, args = instruction.primitive, [_literal(a) for a in instruction.arguments]
    kind = "int" if name in _LOGICAL else "float"
    if name in _INFIX:
        value = f"{args[0]} {_INFIX[name]} {args[1]}"
    elif name in ("max", "min"):
        sign = ">" if name == "max" else "<"
        value = f"{args[0]} {sign} {args[1]} ? {args[0]} : {args[1]}"
    elif name == "where":
        value = f"{args[0]} ? {args[1]} : {args[2]}"
    elif name == "neg":
        value = f"-{args[0]}"
    else:
        value = f"{_CALLS[name]}({args[0]})"
    return f"{kind} {instruction.result} = {value};"


FIRING = {
    "binary": "int s = v[j] >= g; float d = s ? -eta[j] : eta[j];",
    "ternary": (
        "float e = v[j] - g; int s = fabsf(e) > 0.5f * eta[j];"
        " float d = s ? (e >= 0.0f ? -eta[j] : eta[j]) : 0.0f;"
    ),
}
"""From v, g = f + theta and eta: whether the neuron spikes, s, and dv, d."""

_LOAD = """
    float x{i}[CHUNK] __attribute__((aligned(64)));
    if (rows[{i}] == 1) memcpy(x{i}, currents[{i}] + base, m * 4);
    float r{i}[CHUNK]; int64_t first{i} = base / rows[{i}], count{i} = 0;
    if (rows[{i}] != 1) {{
      count{i} = (base + m - 1) / rows[{i}] - first{i} + 1;
      memcpy(r{i}, currents[{i}] + first{i}, count{i} * 4);
      spread(x{i}, r{i}, base, m, rows[{i}]);
    }}"""
_CHARGE = """
      if (from[{i}] <= t && t < to[{i}]) {{
        const float* d = changes[{i}] + (t - from[{i}]) * strides[{i}];
        if (rows[{i}] == 1) {{ for (int j = 0; j < m; j++) x{i}[j] += d[base + j]; }}
        else {{
          for (int j = 0; j < count{i}; j++) r{i}[j] += d[first{i} + j];
          spread(x{i}, r{i}, base, m, rows[{i}]);
        }}
      }}"""
_STORE = """
    if (results[{i}] && rows[{i}] == 1) memcpy(results[{i}] + base, x{i}, m * 4);
    if (results[{i}] && rows[{i}] != 1) memcpy(results[{i}] + first{i}, r{i}, count{i} * 4);"""

KERNEL = """
static inline void spread(float* x, const float* r, int64_t base, int m, int64_t length) {{
  int64_t left = length - base % length;
  for (int j = 0, i = 0; j < m; i++, left = length) {{
    int end = j + left < m ? j + (int)left : m;
    for (; j < end; j++) x[j] = r[i];
  }}
}}

/* n neurons; steps [begin, end) of the block, of which [start, stop) fire. Operand i has one
   value per rows[i] neurons, increments changes[i] in steps [from[i], to[i]), strides[i] apart,
   and its currents after the block go to results[i] unless that is null. Step sizes and
   thresholds repeat after `period` neurons. Returns the number of spikes. */
int64_t site(int64_t n, int64_t begin, int64_t end, int64_t start, int64_t stop,
    const float** currents, const float** changes, float** results, const int64_t* rows,
    const int64_t* from, const int64_t* to, const int64_t* strides, float* estimates,
    const float* step_sizes, const float* thresholds, int64_t period, float* increments,
    int threads) {{
  int64_t parts = (period + CHUNK - 1) / CHUNK;
  int64_t chunks = (n + period - 1) / period * parts, spikes = 0;
  #pragma omp parallel for reduction(+ : spikes) num_threads(threads) if (threads > 1)
  for (int64_t c = 0; c < chunks; c++) {{
    int64_t within = c % parts * CHUNK, base = c / parts * period + within;
    int64_t most = period - within < CHUNK ? period - within : CHUNK;
    if (base >= n) continue;
    int m = (int)(n - base < most ? n - base : most);
    float v[CHUNK] __attribute__((aligned(64)));
    memcpy(v, estimates + base, m * 4);{load}
    for (int64_t t = begin; t < end; t++) {{{charge}
      if (t < start || t >= stop) continue;
      const float* restrict eta = step_sizes + (t - start) * period + within;
      const float* restrict theta = thresholds + (t - start) * period + within;
      float* restrict dv = increments + (t - start) * n + base;
      int fired = 0;
      for (int j = 0; j < m; j++) {{
        {body}
        {firing}
        v[j] += d; dv[j] = d; fired += s;
      }}
      spikes += fired;
    }}
    memcpy(estimates + base, v, m * 4);{store}
  }}
  return spikes;
}}
"""


def c_source(expression: Expression, alphabet: str) -> str:
    """The source of a site kernel for a target function and a spike alphabet."""
    operands = range(expression.arity)
    currents = [f"float x{i}_ = x{i}[j];" for i in operands]
    statements = [_statement(_renamed(i)) for i in expression.instructions]
    result = _local(expression.result)
    body = " ".join([*currents, *statements, f"float g = {result} + theta[j];"])
    kernel = KERNEL.format(
        load="".join(_LOAD.format(i=i) for i in operands),
        charge="".join(_CHARGE.format(i=i) for i in operands),
        store="".join(_STORE.format(i=i) for i in operands),
        body=body,
        firing=FIRING[alphabet],
    )
    return PRELUDE.replace("@CHUNK@", str(CHUNK)) + kernel


def _local(name: str | float) -> str | float:
    return f"{name}_" if isinstance(name, str) and name.startswith("x") else name


def _renamed(instruction: Instruction) -> Instruction:
    arguments = tuple(_local(a) for a in instruction.arguments)
    return Instruction(instruction.result, instruction.primitive, arguments)
