"""C source of how a site kernel folds the members that its neurons see."""

from __future__ import annotations

from dataclasses import replace

from onnx2snn.runtime.fused.operands_source import ROOM, WINDOWED, Operands

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
