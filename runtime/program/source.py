"""C source of a program: how its instructions are shared, and the linear operators' kernels.

A kernel takes a block of arguments, all of 8 bytes, and does one of several equal parts of the
work. What a number is summed from, and in which order, depends neither on the parts nor on how
many rows, samples or time steps there are.
"""

from __future__ import annotations

from onnx2snn.runtime.program.lookup_source import LOOKUP
from onnx2snn.runtime.program.pairs_source import PAIRS
from onnx2snn.runtime.program.product_source import FAR, MOST, PANEL, PRODUCT, REST, ROWS, TALL
from onnx2snn.runtime.program.quads_source import QUADS
from onnx2snn.runtime.program.sharing_source import OWN_PARTS, SHARING
from onnx2snn.runtime.vectors import LANES

DIMENSIONS = 6

_FRAME = r"""
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <string.h>
#define DIMENSIONS @DIMENSIONS@
#define LANES @LANES@
#define ROWS @ROWS@
#define REST @REST@
#define PANEL @PANEL@
#define TALL @TALL@
#define MOST @MOST@
#define FAR @FAR@
#define FOR(i, n) for (int64_t i = 0; i < (n); i++)
typedef float vf __attribute__((vector_size(4 * LANES)));
static inline vf load(const float* p) { vf x; memcpy(&x, p, sizeof x); return x; }

/* Words with their addresses: each counts from the start of its kind. */
void place(int64_t count, const int64_t* from, const uint8_t* kinds, const int64_t* starts,
           int64_t* words) {
  FOR(i, count) words[i] = from[i] + starts[kinds[i]];
}
"""

_POINTWISE = r"""
/* The rows of several strided tensors: all axes but the last two count as one. */
struct rows { const int64_t* size; int64_t at[DIMENSIONS - 2], left; };
static int64_t row_count(const int64_t* size) {
  int64_t count = 1;
  FOR(d, DIMENSIONS - 2) count *= size[d];
  return count;
}
static struct rows rows_from(const int64_t* size, int64_t first, int64_t end) {
  struct rows r = {size, {0}, end - first};
  for (int64_t d = DIMENSIONS - 3; d >= 0; d--) { r.at[d] = first % size[d]; first /= size[d]; }
  return r;
}
static int64_t offset(const struct rows* r, const int64_t* strides) {
  int64_t sum = 0;
  FOR(d, DIMENSIONS - 2) sum += r->at[d] * strides[d];
  return sum;
}
static void following(struct rows* r) {
  for (int64_t d = DIMENSIONS - 3; d >= 0 && ++r->at[d] == r->size[d]; d--) r->at[d] = 0;
  r->left--;
}

/* out = a operation b, element by element; strides in numbers, 0 where an operand repeats. */
struct pointwise {
  int64_t operation, size[DIMENSIONS], outs[DIMENSIONS], as[DIMENSIONS], bs[DIMENSIONS];
  const float* a; const float* b; float* out;
};
#define LINE(...) \
  FOR(i, m) { \
    const float* restrict a = as + i * la; \
    const float* restrict b = bs + i * lb; \
    float* restrict o = os + i * lo; \
    (void)b; \
    __VA_ARGS__ \
  }
#define EACH(value) \
  if (s == 1 && sa == 1 && sb == 1) LINE(FOR(j, n) { float x = a[j], y = b[j]; o[j] = value; }) \
  else if (s == 1 && sa == 1 && sb == 0) \
    LINE(float y = *b; FOR(j, n) { float x = a[j]; o[j] = value; }) \
  else LINE(FOR(j, n) { float x = a[j * sa], y = b[j * sb]; o[j * s] = value; })

int64_t pointwise(const struct pointwise* p, int64_t part, int64_t parts) {
  const int64_t last = DIMENSIONS - 1, row = DIMENSIONS - 2, count = row_count(p->size);
  const int64_t n = p->size[last], s = p->outs[last], sa = p->as[last], sb = p->bs[last];
  const int64_t m = p->size[row], lo = p->outs[row], la = p->as[row], lb = p->bs[row];
  struct rows r = rows_from(p->size, count * part / parts, count * (part + 1) / parts);
  for (; r.left > 0; following(&r)) {
    const float *as = p->a + offset(&r, p->as), *bs = p->b + offset(&r, p->bs);
    float* os = p->out + offset(&r, p->outs);
    switch (p->operation) {
      case 0:
        if (s == 1 && sa == 1) LINE(memcpy(o, a, n * 4);)
        else LINE(FOR(j, n) o[j * s] = a[j * sa];)
        break;
      case 1: EACH(x + y) break;
      case 2: EACH(x - y) break;
      case 3: EACH(x * y) break;
      case 4: EACH(x / y) break;
    }
  }
  return 0;
}
"""

_REDUCTION = r"""
/* Sums over `length` numbers `step` apart, divided by `count`. */
struct reduction {
  int64_t length, step, count, size[DIMENSIONS], outs[DIMENSIONS], ins[DIMENSIONS];
  const float* in; float* out;
};
/* All sums go in the order of PyTorch's: in four turns, or straight on, 16 at a time. */
#define TURNS(type, n, get) \
  type a[4] = {0}; \
  int64_t i = 0; \
  for (; i + 4 <= (n); i += 4) for (int k = 0; k < 4; k++) a[k] += get(i + k); \
  for (; i < (n); i++) a[0] += get(i); \
  for (int k = 1; k < 4; k++) a[0] += a[k];
#define STRAIGHT(type, n, get) \
  type a[1] = {0}; \
  for (int64_t i = 0; i < (n);) { \
    type some = {0}; \
    for (int64_t most = i + 16 < (n) ? i + 16 : (n); i < most; i++) some += get(i); \
    a[0] += some; \
  }
#define ONE(i) x[(i) * step]
#define MANY(i) load(x + (i) * step)
#define EIGHT(i) load_eight(x + (i) * 8)
typedef float eight __attribute__((vector_size(32)));
static inline eight load_eight(const float* p) { eight x; memcpy(&x, p, sizeof x); return x; }
static float row_sum(const float* x, int64_t n) {
  TURNS(eight, n / 8, EIGHT)
  float sum = 0;
  for (int64_t j = n / 8 * 8; j < n; j++) sum += x[j];
  for (int k = 0; k < 8; k++) sum += a[0][k];
  return sum;
}
static float column_sum(const float* x, int64_t n, int64_t step) {
  TURNS(float, n, ONE)
  return a[0];
}
static vf column_sums(const float* x, int64_t n, int64_t step) {
  TURNS(vf, n, MANY)
  return a[0];
}
static vf straight_sums(const float* x, int64_t n, int64_t step) {
  STRAIGHT(vf, n, MANY)
  return a[0];
}
/* m sums, their numbers beginning si apart. */
static void sums(const struct reduction* p, const float* x, float* o) {
  const int64_t last = DIMENSIONS - 1, m = p->size[last], so = p->outs[last], si = p->ins[last];
  const int64_t n = p->length, step = p->step;
  const float count = p->count;
  int64_t j = 0;
  if (step == 1) for (; j < m; j++) o[j * so] = row_sum(x + j * si, n) / count;
  if (si == 1 && so == 1) for (; j + LANES <= m; j += LANES) {
    vf found = (j < m / 32 * 32 ? straight_sums : column_sums)(x + j, n, step) / count;
    memcpy(o + j, &found, sizeof found);
  }
  for (; j < m; j++) o[j * so] = column_sum(x + j * si, n, step) / count;
}
int64_t reduction(const struct reduction* p, int64_t part, int64_t parts) {
  const int64_t row = DIMENSIONS - 2, count = row_count(p->size);
  struct rows r = rows_from(p->size, count * part / parts, count * (part + 1) / parts);
  for (; r.left > 0; following(&r)) {
    const float* x = p->in + offset(&r, p->ins);
    float* o = p->out + offset(&r, p->outs);
    FOR(i, p->size[row]) sums(p, x + i * p->ins[row], o + i * p->outs[row]);
  }
  return 0;
}

/* Numbers, `run` of them side by side, from where a table has them; zeros where it has none. */
struct gather {
  int64_t steps, stride, count, run;
  const int32_t* starts; const float* in; float* out;
};
int64_t gather(const struct gather* p, int64_t part, int64_t parts) {
  const int64_t run = p->run, all = p->steps * p->count;
  for (int64_t i = all * part / parts, end = all * (part + 1) / parts; i < end; i++) {
    const int32_t start = p->starts[i % p->count];
    const float* x = p->in + i / p->count * p->stride + start;
    float* o = p->out + i * run;
    if (run == 1) *o = start < 0 ? 0 : *x;
    else if (start < 0) memset(o, 0, run * 4);
    else memcpy(o, x, run * 4);
  }
  return 0;
}

/* Memory that holds `size` bytes from elsewhere, `times` over; parts are those of who uses it. */
struct restoration {
  int64_t count;
  struct { char* to; const char* from; int64_t size, times; } spans[];
};
int64_t restoration(const struct restoration* p, int64_t part, int64_t parts) {
  FOR(i, p->count) {
    const int64_t size = p->spans[i].size, all = size * p->spans[i].times;
    const int64_t end = all * (part + 1) / parts;
    for (int64_t at = all * part / parts, n; at < end; at += n) {
      n = size - at % size < end - at ? size - at % size : end - at;
      memcpy(p->spans[i].to + at, p->spans[i].from + at % size, n);
    }
  }
  return 0;
}

/* The value of a tensor after a block of increments. */
struct integration { int64_t steps, n; const float* changes; float* value; };
int64_t integration(const struct integration* p, int64_t part, int64_t parts) {
  int64_t n = p->n, first = n * part / parts, end = n * (part + 1) / parts;
  FOR(t, p->steps) for (int64_t j = first; j < end; j++) p->value[j] += p->changes[t * n + j];
  return 0;
}
/* And at every step of the block. */
struct trajectory { int64_t steps, n; const float* changes; float* value; float* values; };
int64_t trajectory(const struct trajectory* p, int64_t part, int64_t parts) {
  int64_t n = p->n, first = n * part / parts, end = n * (part + 1) / parts;
  FOR(t, p->steps) for (int64_t j = first; j < end; j++)
    p->values[t * n + j] = p->value[j] += p->changes[t * n + j];
  return 0;
}
/* Increments in place of values. */
struct differences { int64_t steps, n; float* last; float* values; };
int64_t differences(const struct differences* p, int64_t part, int64_t parts) {
  int64_t n = p->n, first = n * part / parts, end = n * (part + 1) / parts;
  FOR(t, p->steps) for (int64_t j = first; j < end; j++) {
    float now = p->values[t * n + j];
    p->values[t * n + j] = now - p->last[j];
    p->last[j] = now;
  }
  return 0;
}
"""


def program_source() -> str:
    """The source of everything but sites."""
    text = _FRAME + SHARING + _POINTWISE + _REDUCTION + PRODUCT + PAIRS + QUADS + LOOKUP
    sizes = {
        "DIMENSIONS": DIMENSIONS,
        "OWN": OWN_PARTS,
        "LANES": LANES,
        "ROWS": ROWS,
        "PANEL": PANEL,
        "REST": REST,
        "TALL": TALL,
        "MOST": MOST,
        "FAR": FAR,
    }
    for name, size in sizes.items():
        text = text.replace(f"@{name}@", str(size))
    return text
