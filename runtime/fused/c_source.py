"""C source of a fused site kernel.

A kernel takes memory in chunks that fit the first-level cache. Of each chunk it loads currents
and estimates once, runs all time steps of the block, and stores them once; per step it reads
one increment per operand and writes one.
"""

from __future__ import annotations

import math

from onnx2snn.runtime.fused.expression import Expression, Instruction
from onnx2snn.runtime.fused.folds_source import folded
from onnx2snn.runtime.fused.operands_source import LINE, OWN, Operands
from onnx2snn.runtime.vectors import LANES

MOST_OPERANDS = 16

# Polynomials and quotients of them are least-squares fits, within 3 units in the last place of
# float32.
PRELUDE = r"""
#include <stdint.h>
#include <string.h>
#define CHUNK @CHUNK@
#define LINE @LINE@
#define LANES @LANES@
#define SIGN ((int32_t)0x80000000)
#ifdef __AVX__
#include <immintrin.h>
#endif
typedef float vf __attribute__((vector_size(4 * LANES)));
typedef int32_t vi __attribute__((vector_size(4 * LANES)));
static const float silence[CHUNK] __attribute__((aligned(64)));
static inline vf load(const float* p) { vf x; memcpy(&x, p, sizeof x); return x; }
static inline void store(float* p, vf x) { memcpy(p, &x, sizeof x); }
/* Bits of so many neurons from the j-th on, whole bytes. */
static inline void mark(uint8_t* bits, int64_t j, vi s, int n) {
#if LANES == 16 && defined(__AVX512F__)
  uint16_t fired = _mm512_cmplt_epi32_mask((__m512i)s, _mm512_setzero_si512());
  memcpy(bits + (j >> 3), &fired, n / 8);
#elif LANES == 8 && defined(__AVX__)
  bits[j >> 3] = _mm256_movemask_ps((__m256)s);
  (void)n;
#else
  for (int k = 0; k < n; k++) {
    if ((j + k) % 8 == 0) bits[(j + k) >> 3] = 0;
    bits[(j + k) >> 3] |= (s[k] & 1) << (j + k) % 8;
  }
#endif
}
static inline vf splat(float c) { return c - (vf){0}; }
static inline vf pick(vi m, vf a, vf b) { return (vf)((m & (vi)a) | (~m & (vi)b)); }
#if LANES == 16 && defined(__AVX512F__)
static inline vf op_max(vf a, vf b) { return (vf)_mm512_max_ps((__m512)a, (__m512)b); }
static inline vf op_min(vf a, vf b) { return (vf)_mm512_min_ps((__m512)a, (__m512)b); }
#elif LANES == 8 && defined(__AVX__)
static inline vf op_max(vf a, vf b) { return (vf)_mm256_max_ps((__m256)a, (__m256)b); }
static inline vf op_min(vf a, vf b) { return (vf)_mm256_min_ps((__m256)a, (__m256)b); }
#else
static inline vf op_max(vf a, vf b) { return pick(a > b, a, b); }
static inline vf op_min(vf a, vf b) { return pick(a < b, a, b); }
#endif
static inline vf op_abs(vf x) { return (vf)((vi)x & 0x7fffffff); }
static inline vf signed_as(vf a, vf x) { return (vf)((vi)a | ((vi)x & SIGN)); }
static inline vf op_sqrt(vf x) {
  for (int k = 0; k < LANES; k++) x[k] = __builtin_sqrtf(x[k]);
  return x;
}
static inline vf op_floor(vf x) {
  for (int k = 0; k < LANES; k++) x[k] = __builtin_floorf(x[k]);
  return x;
}
static inline vf op_ceil(vf x) { return -op_floor(-x); }
static inline vf op_exp(vf x) {
  vf c = op_max(op_min(x, splat(88.37f)), splat(-87.3f));
  vf n = (c * 1.44269504f + 12582912.0f) - 12582912.0f;
  vf r = (c - n * 0.693145752f) - n * 1.42860677e-6f;
  vf p = splat(0.000198993192f);
  p = p * r + 0.00139336765f; p = p * r + 0.00833329838f; p = p * r + 0.041666463f;
  p = p * r + 0.166666672f; p = p * r + 0.5f;
  p = (p * r * r + r) + 1.0f;
  vf y = p * (vf)((__builtin_convertvector(n, vi) + 127) << 23);
  y = pick(x < -87.3f, splat(0.0f), y);
  return pick(x > 88.37f, splat(__builtin_inff()), y);
}
static inline vf op_log(vf x) {
  vi e = ((vi)x - 0x3f3504f3) >> 23;
  vf f = (vf)((vi)x - (e << 23)) - 1.0f;
  vf p = splat(-0.0786666796f);
  p = p * f + 0.128217489f; p = p * f - 0.131016344f; p = p * f + 0.141890004f;
  p = p * f - 0.166275993f; p = p * f + 0.200019687f; p = p * f - 0.250007719f;
  p = p * f + 0.333333224f; p = p * f - 0.49999997f;
  vf y = __builtin_convertvector(e, vf) * 0.693147181f + (p * f * f + f);
  y = pick(x > 0.0f, y, pick(x == 0.0f, splat(-__builtin_inff()), splat(__builtin_nanf(""))));
  return pick(x == __builtin_inff(), x, y);
}
static inline vf op_log1p(vf x) {
  vf u = 1.0f + x, d = u - 1.0f;
  vf y = op_log(u) * (x / pick(d == 0.0f, splat(1.0f), d));
  return pick(d == 0.0f, x, pick(u == __builtin_inff(), u, y));
}
static inline vf op_erf(vf x) {
  vf c = op_max(op_min(x, splat(3.92f)), splat(-3.92f)), s = c * c;
  vf p = splat(2.0500768e-06f), q = splat(3.8091617e-05f);
  p = p * s + 0.00028488302f; p = p * s + 0.0037656492f; p = p * s + 0.05274883f;
  p = p * s + 0.19040728f; p = p * s + 1.1283791f;
  q = q * s + 0.0011625424f; q = q * s + 0.014969284f; q = q * s + 0.11410944f;
  q = q * s + 0.5020768f; q = q * s + 1.0f;
  return op_max(op_min(c * p / q, splat(1.0f)), splat(-1.0f));
}
static inline vf op_tanh(vf x) {
  vf a = op_abs(x), s = x * x;
  vf p = splat(0.00227270368f);
  p = p * s - 0.008326401f; p = p * s + 0.0217636339f; p = p * s - 0.0539586246f;
  p = p * s + 0.133333012f; p = p * s - 0.333333343f;
  vf large = signed_as(1.0f - 2.0f / (op_exp(2.0f * a) + 1.0f), x);
  return pick(a < 0.6f, p * s * x + x, large);
}
"""

_INFIX = {
    **{"add": "+", "sub": "-", "mul": "*", "div": "/", "gt": ">", "ge": ">=", "lt": "<"},
    **{"le": "<=", "eq": "==", "and": "&", "or": "|"},
}
_LOGICAL = ("gt", "ge", "lt", "le", "eq", "and", "or")


def _literal(value: str | float) -> str:
    if isinstance(value, str):
        return value
    if math.isinf(value):
        return f"splat({'' if value > 0 else '-'}__builtin_inff())"
    return f"splat({float(value)!r}f)"


def _statement(instruction: Instruction) -> str:
    name, args = instruction.primitive, [_literal(a) for a in instruction.arguments]
    kind = "vi" if name in _LOGICAL else "vf"
    if name in _INFIX:
        value = f"{args[0]} {_INFIX[name]} {args[1]}"
    elif name == "neg":
        value = f"-{args[0]}"
    else:
        value = f"{'pick' if name == 'where' else f'op_{name}'}({', '.join(args)})"
    return f"{kind} {instruction.result} = {value};"


FIRING = {
    "binary": "vi s = v >= g; vf d = (vf)((vi)eta ^ (s & SIGN));",
    "ternary": (
        "vf e = v - g; vi s = op_abs(e) > 0.5f * eta;"
        " vf d = (vf)(s & ((vi)eta ^ ((e >= 0.0f) & SIGN)));"
    ),
}
"""From v, g = f + theta and eta: whether the neuron spikes, s, and dv, d."""

KERNEL = """
static inline vi fire({arguments}
    float* vs, const float* etas, const float* thetas, float* dvs, vi live) {{
  {body}
  vf v = load(vs), eta = load(etas), g = {result} + load(thetas);
  {firing}
  s &= live;
  store(vs, v + d);
  if (dvs) store(dvs, d);
  return s;
}}

/* n neurons; steps [begin, end) of the block, of which [start, stop) fire. Operand i has one
   value per rows[i] neurons, increments changes[i] in steps [from[i], to[i]), strides[i] apart,
   and its currents after the block go to results[i] unless that is null. Step sizes and thresholds
   repeat after `sizes` and `bounds` neurons, and count from step *time unless that is null.
   Increments and spikes, as bits, are written unless null; neurons count in bytes for bits. All
   fields have 8 bytes. */
struct block {{
  int64_t n, begin, end, start, stop, sizes, bounds, threads; const int64_t* time;
  float* estimates; const float* step_sizes; const float* thresholds; float* increments;
  uint8_t* bits;
  const float* currents[{tensors}]; const float* changes[{tensors}]; float* results[{tensors}];
  int64_t rows[{tensors}], from[{tensors}], to[{tensors}], strides[{tensors}];
  {fields}
}};
{helpers}
/* One of several equal parts of the neurons; returns the number of spikes. */
int64_t site_part(const struct block* b, int64_t part, int64_t pieces) {{
  const int64_t n = b->n, begin = b->begin, end = b->end, start = b->start, stop = b->stop;
  const int64_t sizes = b->sizes, bounds = b->bounds, past = b->time ? *b->time : 0;
  float *estimates = b->estimates, *increments = b->increments;
  const float *const *currents = b->currents, *const *changes = b->changes;
  float *const *results = b->results;
  const int64_t *rows = b->rows, *from = b->from, *to = b->to, *strides = b->strides;
  const int64_t last = part + 1 < pieces ? n * (part + 1) / pieces / {unit} * {unit} : n;
  int64_t spikes = 0;
  for (int64_t base = n * part / pieces / {unit} * {unit}, m; base < last; base += m) {{
    m = last - base < {chunk} ? last - base : {chunk};
    float v[CHUNK + LANES] __attribute__((aligned(64)));
    vi fired = {{0}}, lane;
    for (int k = 0; k < LANES; k++) lane[k] = k;
    memcpy(v, estimates + base, m * 4);{begin_chunk}{load}
    for (int64_t t = begin; t < end; t++) {{{charge}
      if (t < start || t >= stop) {{ {add} continue; }}
      const float* eta = b->step_sizes + (past + t - start) * sizes;
      const float* theta = b->thresholds + (past + t - start) * bounds;
      float* dv = increments ? increments + (t - start) * n + base : 0;
      uint8_t* bits = b->bits ? b->bits + ((t - start) * n + base) / 8 : 0;
      int64_t size = base % sizes, bound = base % bounds;
      for (int64_t j = 0, end; j < m; j = end) {{
        end = j + (sizes - size < bounds - bound ? sizes - size : bounds - bound);
        end = end < m ? end : m;
        int64_t whole = end - (end - j) % LANES, e = size - j, h = bound - j;
        for (; j < whole; j += LANES) {{
          vi s = fire({passed} v + j, eta + e + j, theta + h + j, dv ? dv + j : 0,
                      (vi){{0}} == 0);
          fired -= s;
          if (bits) mark(bits, j, s, LANES);
        }}
        size = end + e == sizes ? 0 : end + e, bound = end + h == bounds ? 0 : end + h;
        if (whole < end) {{
          int rest = (int)(end - whole), bytes = rest * 4;
          float es[LANES] = {{0}}, hs[LANES] = {{0}}, o[LANES]{spare};
          memcpy(es, eta + e + whole, bytes); memcpy(hs, theta + h + whole, bytes);{tail}
          vi s = fire({beyond} v + whole, es, hs, o, lane < rest);
          fired -= s;
          if (dv) memcpy(dv + whole, o, bytes);
          if (bits) mark(bits, whole, s, rest);
        }}
      }}
    }}
    for (int k = 0; k < LANES; k++) spikes += fired[k];
    memcpy(estimates + base, v, m * 4);{store}
  }}
  return spikes;
}}

int64_t site(const struct block* b) {{
  int64_t pieces = b->threads, spikes = 0;
  #pragma omp parallel for reduction(+ : spikes) num_threads((int)pieces) if (pieces > 1)
  for (int64_t part = 0; part < pieces; part++) spikes += site_part(b, part, pieces);
  return spikes;
}}
"""


def folded_operands(each: Expression, combine: str) -> Operands:
    """Operands folded from what an expression makes of each member."""
    lines = [_statement(i) for i in each.instructions]
    return folded(combine, "\n  ".join(lines), _literal(each.result))


def c_source(expression: Expression, alphabet: str, operands: Operands = OWN) -> str:
    """The source of a site kernel for a target function and a spike alphabet."""
    arity = expression.arity

    def each(template: str) -> str:
        if operands.together:
            return template
        return "".join(template.format(i=i) for i in range(arity))

    values = [operands.value.format(i=i) for i in range(1 if operands.together else arity)]
    statements = values + [_statement(i) for i in expression.instructions]
    kernel = KERNEL.format(
        tensors=operands.of(arity),
        arguments=each(operands.argument),
        body="\n  ".join(statements),
        result=_literal(expression.result),
        firing=FIRING[alphabet],
        fields=operands.fields,
        helpers=operands.helpers,
        begin_chunk=operands.begin.format(arity=arity),
        load=each(operands.load),
        charge=each(operands.charge),
        add=each(operands.add),
        passed=each(operands.passed),
        beyond=each(operands.beyond),
        spare=each(operands.spare),
        tail=each(operands.tail),
        store=each(operands.store),
        chunk=operands.chunk,
        unit=operands.unit,
    )
    prelude = PRELUDE.replace("@CHUNK@", str(operands.capacity))
    return prelude.replace("@LANES@", str(LANES)).replace("@LINE@", str(LINE)) + kernel
