"""C source of how a site kernel reads neurons that see their whole row."""

from __future__ import annotations

from dataclasses import replace

from onnx2snn.ops.target import Powers, Rowwise
from onnx2snn.runtime.fused.operands_source import LONGEST_CHUNK, Operands

_TOTAL = """
#if LANES == 8 && defined(__AVX__)
static inline float total(vf x) {
  __m128 s = _mm256_castps256_ps128((__m256)x) + _mm256_extractf128_ps((__m256)x, 1);
  s += _mm_movehl_ps(s, s);
  return s[0] + s[1];
}
#else
static inline float total(vf x) {
  for (int k = LANES / 2; k; k /= 2) for (int j = 0; j < k; j++) x[j] += x[j + k];
  return x[0];
}
#endif
"""
_MOMENTS = """
/* Of every row: its mean, and 1 / sqrt of its variance and epsilon, for each of its neurons. */
static inline void statistics(const float* x, int64_t m, int64_t row, float* means,
                              float* factors) {
  for (int64_t base = 0; base < m; base += row) {
    const float* xs = x + base;
    int64_t whole = row - row % LANES, j;
    vf sums = {0}, squares = {0};
    float mean = 0, square = 0;
    if (CENTRED) {
      for (j = 0; j < whole; j += LANES) sums += load(xs + j);
      for (mean = total(sums); j < row; j++) mean += xs[j];
      mean /= row;
    }
    for (j = 0; j < whole; j += LANES) { vf c = load(xs + j) - mean; squares += c * c; }
    for (square = total(squares); j < row; j++) square += (xs[j] - mean) * (xs[j] - mean);
    float factor = 1.0f / __builtin_sqrtf(square / row + EPSILON);
    for (j = 0; j < whole; j += LANES)
      store(means + base + j, splat(mean)), store(factors + base + j, splat(factor));
    for (; j < row; j++) means[base + j] = mean, factors[base + j] = factor;
  }
}
"""
_POWERS = """
/* The last of a row's numbers, and others in place of what lies behind them. */
static inline vf last_of(const float* x, int64_t rest, float others) {
  vf y = splat(others);
  memcpy(&y, x, rest * 4);
  return y;
}
/* Of every neuron: exp(x - max(x)) over its row, and 1 / sum of these. */
static inline void statistics(const float* x, int64_t m, int64_t row, float* powers,
                              float* factors) {
  const float least = -__builtin_inff();
  for (int64_t base = 0; base < m; base += row) {
    const float* xs = x + base;
    int64_t rest = row % LANES, whole = row - rest, j;
    vf tops = last_of(xs + whole, rest, least), sums = {0};
    for (j = 0; j < whole; j += LANES) tops = op_max(tops, load(xs + j));
    float top = tops[0];
    for (int k = 1; k < LANES; k++) top = tops[k] > top ? tops[k] : top;
    if (top == least) top = 0;
    for (j = 0; j < whole; j += LANES) {
      vf power = op_exp(load(xs + j) - top);
      store(powers + base + j, power), sums += power;
    }
    vf power = op_exp(last_of(xs + whole, rest, least) - top);
    memcpy(powers + base + whole, &power, rest * 4);
    float sum = total(sums + power), factor = sum > 0 ? 1 / sum : 0;
    for (j = 0; j < whole; j += LANES) store(factors + base + j, splat(factor));
    for (; j < row; j++) factors[base + j] = factor;
  }
}
"""
ROWS = Operands(
    fields="int64_t row, unit, chunk;",
    helpers="",
    begin="",
    argument="const float* xs, const float* means, const float* factors, ",
    value="vf x0 = load(xs), x1 = load(means), x2 = load(factors);",
    load="""
    float x[CHUNK + LANES] __attribute__((aligned(64)));
    float means[CHUNK + LANES] __attribute__((aligned(64))), factors[CHUNK + LANES];
    memcpy(x, currents[0] + base, m * 4);""",
    charge="""
      if (from[0] <= t && t < to[0]) {
        const float* d = changes[0] + (t - from[0]) * strides[0] + base;
        for (int j = 0; j < m; j++) x[j] += d[j];
      }
      if (start <= t && t < stop) statistics(x, m, b->row, means, factors);""",
    add="",
    passed="x + j, means + j, factors + j,",
    beyond="x + whole, means + whole, factors + whole,",
    spare="",
    tail="",
    store="""
    if (results[0]) memcpy(results[0] + base, x, m * 4);""",
    tensors=1,
    together=True,
    capacity=LONGEST_CHUNK,
    chunk="b->chunk",
    unit="b->unit",
)
"""Operands are a tensor and two numbers that rows, `row` neurons long, give each of their neurons.

Chunks and parts are multiples of `unit`, which is one of rows and lines."""


def rows_of(rowwise: Rowwise) -> Operands:
    """Operands that are a tensor and the statistics of its rows."""
    statistics = rowwise.statistics
    if isinstance(statistics, Powers):
        return replace(ROWS, helpers=_TOTAL + _POWERS)
    constants = f"""
#define CENTRED {int(statistics.centred)}
#define EPSILON {float(statistics.epsilon)!r}f
"""
    return replace(ROWS, helpers=constants + _TOTAL + _MOMENTS)
