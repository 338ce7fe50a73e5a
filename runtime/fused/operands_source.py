"""C source of how a site kernel reads its operands, chunk by chunk."""

from __future__ import annotations

from dataclasses import dataclass, replace

from onnx2snn.ops.target import Powers, Rowwise

# Numbers that neurons of a chunk fold at most, and members of one of them.
ROOM, MOST_MEMBERS = 1 << 15, 1 << 11
# Neurons of a chunk, as a rule and at most, and of what it is a multiple, for whole cache lines.
CHUNK = 512
LONGEST_CHUNK = 4096
LINE = 16


@dataclass(frozen=True)
class Operands:
    """Pieces of source, each once for every operand i of the target function.

    tensors:  that operands are read from; None for as many as operands.
    together: whether pieces come once for all operands.
    capacity: most neurons of a chunk, `chunk`: how many, `unit`: what parts are multiples of.

    fields:   of the block of arguments, behind those that every kernel has.
    helpers:  functions of their own.
    begin:    at the start of a chunk, once.
    argument: what `fire` takes, and `value`: how it makes x_i of that.
    load:     before the first time step of a chunk.
    charge:   at the start of every time step.
    add:      in time steps in which no neuron may fire.
    passed:   the argument for a vector of neurons, and `beyond`: for the last, shorter one.
    spare, tail: memory for that one, and what is put there.
    store:    behind the last time step of a chunk.
    """

    fields: str
    helpers: str
    begin: str
    argument: str
    value: str
    load: str
    charge: str
    add: str
    passed: str
    beyond: str
    spare: str
    tail: str
    store: str
    tensors: int | None = None
    together: bool = False
    capacity: int = CHUNK
    chunk: str = "CHUNK"
    unit: str = "LINE"

    def of(self, operands: int) -> int:
        """Tensors, for a target function of so many operands."""
        return operands if self.tensors is None else self.tensors


OWN = Operands(
    fields="",
    helpers="""
static inline void spread(float* x, const float* r, int64_t base, int64_t m, int64_t length) {
  int64_t left = length - base % length;
  for (int64_t j = 0, i = 0; j < m; i++, left = length) {
    int64_t end = j + left < m ? j + left : m;
    for (; j < end; j++) x[j] = r[i];
  }
}
""",
    begin="",
    argument="float* xs{i}, const float* ds{i}, ",
    value="vf x{i} = load(xs{i}) + load(ds{i}); store(xs{i}, x{i});",
    load="""
    float x{i}[CHUNK + LANES] __attribute__((aligned(64)));
    if (rows[{i}] == 1) memcpy(x{i}, currents[{i}] + base, m * 4);
    float r{i}[CHUNK]; int64_t first{i} = base / rows[{i}], count{i} = 0;
    if (rows[{i}] != 1) {{
      count{i} = (base + m - 1) / rows[{i}] - first{i} + 1;
      memcpy(r{i}, currents[{i}] + first{i}, count{i} * 4);
      spread(x{i}, r{i}, base, m, rows[{i}]);
    }}""",
    charge="""
      const float* d{i} = silence;
      if (from[{i}] <= t && t < to[{i}]) {{
        const float* d = changes[{i}] + (t - from[{i}]) * strides[{i}];
        if (rows[{i}] == 1) d{i} = d + base;
        else {{
          for (int j = 0; j < count{i}; j++) r{i}[j] += d[first{i} + j];
          spread(x{i}, r{i}, base, m, rows[{i}]);
        }}
      }}""",
    add="for (int j = 0; j < m; j++) x{i}[j] += d{i}[j];",
    passed="x{i} + j, d{i} + j,",
    beyond="x{i} + whole, c{i},",
    spare=", c{i}[LANES] = {{0}}",
    tail=" memcpy(c{i}, d{i} + whole, bytes);",
    store="""
    if (results[{i}] && rows[{i}] == 1) memcpy(results[{i}] + base, x{i}, m * 4);
    if (results[{i}] && rows[{i}] != 1) memcpy(results[{i}] + first{i}, r{i}, count{i} * 4);""",
)
"""Every operand has a tensor of its own, whose currents the kernel adds up and keeps."""

_READING = "const int32_t* places; int64_t windows, inside, run, members, chunk;"
WINDOWED = Operands(
    fields=_READING,
    helpers="""
/* Where the runs of a chunk end, and how far their members lie from there; their number. */
static inline int spans(const struct block* b, int64_t base, int64_t m, int arity, int32_t* ends,
                        int32_t (*from_here)[CHUNK]) {
  int runs = 0;
  for (int j = 0; j < m; runs++) {
    int64_t at = (base + j) / b->run, within = (base + j) % b->run, left = b->run - within;
    int64_t part = at / b->windows * b->inside, window = at % b->windows;
    for (int i = 0; i < arity; i++) {
      int64_t place = part + b->places[i * b->windows + window];
      from_here[i][runs] = (int32_t)(place * b->run + within - j);
    }
    ends[runs] = j = (int)(j + left < m ? j + left : m);
  }
  return runs;
}
#define EACH_RUN(offsets, statement, tensor) \\
  for (int r = 0, j = 0; r < runs; r++) { \\
    const float* x = (tensor) + offsets[r]; \\
    for (; j < ends[r]; j++) statement; \\
  }
""",
    begin="""
    int32_t ends[CHUNK], from_here[{arity}][CHUNK];
    int runs = spans(b, base, m, {arity}, ends, from_here);""",
    argument="const float* xs{i}, ",
    value="vf x{i} = load(xs{i});",
    load="""
    float x{i}[CHUNK + LANES] __attribute__((aligned(64)));
    EACH_RUN(from_here[{i}], x{i}[j] = x[j], currents[0])""",
    charge="""
      if (from[0] <= t && t < to[0])
        EACH_RUN(from_here[{i}], x{i}[j] += x[j], changes[0] + (t - from[0]) * strides[0])""",
    add="",
    passed="x{i} + j,",
    beyond="x{i} + whole,",
    spare="",
    tail="",
    store="",
    tensors=1,
)
"""Operands are the members of windows over one tensor, whose currents others keep.

A neuron n lies in run n / run; that is window w = n / run % windows of one part of the tensor,
which has `inside` runs, and its member i is the run at places[i * windows + w]."""

_COMBINED = {"max": "op_max(a, b)", "min": "op_min(a, b)", "add": "a + b", "mul": "a * b"}
_FOLDED = """
static inline vf each(vf x0) {{
  {each}
  return {result};
}}
static inline vf combined(vf a, vf b) {{ return {combined}; }}
/* Of each of m neurons, whose members lie side by side. */
static inline void fold_rows(const float* x, int64_t m, int64_t members, float* folded) {{
  const int64_t whole = members - members % LANES;
  for (int64_t j = 0; j < m; j++, x += members) {{
    vf sum, one = {{0}};
    int64_t i = 0, left = 1;
    if (whole) {{
      sum = each(load(x));
      for (i = LANES; i < whole; i += LANES) sum = combined(sum, each(load(x + i)));
      left = LANES;
    }} else sum = each(splat(x[i++]));
    float parts[LANES];
    store(parts, sum);
    for (int64_t k = 1; k < left; k++) {{
      one[0] = parts[k];
      sum = combined(sum, one);
    }}
    for (; i < members; i++) sum = combined(sum, each(splat(x[i])));
    folded[j] = sum[0];
  }}
}}
/* Of each of m neurons, whose first members lie side by side, and so on, `apart` numbers on. */
static inline void fold(const float* x, int64_t m, int64_t members, int64_t apart, float* folded) {{
  for (int64_t j = 0; j < m; j += LANES) {{
    vf sum = each(load(x + j));
    for (int64_t i = 1; i < members; i++) sum = combined(sum, each(load(x + i * apart + j)));
    store(folded + j, sum);
  }}
}}
/* Copies or adds what m neurons from `base` on see of a tensor, member by member. */
static inline void gathered(const struct block* b, const float* tensor, int64_t base, int64_t m,
                            float* x, int adding) {{
  for (int64_t j = 0, n; j < m; j += n) {{
    int64_t at = (base + j) / b->run, within = (base + j) % b->run;
    int64_t part = at / b->windows * b->inside, window = at % b->windows;
    n = b->run - within < m - j ? b->run - within : m - j;
    for (int64_t i = 0; i < b->members; i++) {{
      int64_t place = part + b->places[i * b->windows + window];
      const float* from = tensor + place * b->run + within;
      float* to = x + i * b->chunk + j;
      if (adding) for (int64_t k = 0; k < n; k++) to[k] += from[k];
      else memcpy(to, from, n * 4);
    }}
  }}
}}
"""


def folded(combine: str, each: str, result: str) -> Operands:
    """Operands are what folds the members of windows over one tensor, found as above.

    each: C statements that make `result` of a member, x0.
    """
    return replace(
        WINDOWED,
        helpers=_FOLDED.format(each=each, result=result, combined=_COMBINED[combine]),
        begin=f"""
    float x[{ROOM} + LANES] __attribute__((aligned(64))), fold_of[CHUNK + LANES];
    const int64_t members = b->members;
    const int in_rows = b->run == 1 && b->windows == 1;""",
        argument="const float* xs, ",
        value="vf x0 = load(xs);",
        load="""
    if (in_rows) memcpy(x, currents[0] + base * members, m * members * 4);
    else gathered(b, currents[0], base, m, x, 0);""",
        charge="""
      if (from[0] <= t && t < to[0]) {
        const float* d = changes[0] + (t - from[0]) * strides[0];
        if (in_rows) for (int64_t k = 0; k < m * members; k++) x[k] += d[base * members + k];
        else gathered(b, d, base, m, x, 1);
      }
      if (t < start || t >= stop) continue;
      if (in_rows) fold_rows(x, m, members, fold_of);
      else fold(x, m, members, b->chunk, fold_of);""",
        passed="fold_of + j,",
        beyond="fold_of + whole,",
        together=True,
        chunk="b->chunk",
    )


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
