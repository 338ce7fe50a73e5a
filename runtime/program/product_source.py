"""C source of products with constant matrices and of convolutions.

A tile of ROWS rows and up to PANEL vectors of columns stays in registers over the whole depth.
"""

from __future__ import annotations

from onnx2snn.runtime.vectors import LANES

# Rows of a tile and vectors of the widest panel: together they fill the registers, 32 where
# vectors have 16 numbers and 16 elsewhere.
ROWS, PANEL = (8, 3) if LANES == 16 else (6, 2)

_PRODUCT = r"""
/* Sums over `taps` places of `depth` numbers each, for `pixels` places of each image: a product
   has one of either. Images have padding where `tall` is not 0: copies of `bunch` of them, with
   zeros around, then go to scratch memory. Weights lie in panels of up to PANEL vectors of
   columns, group by group. */
struct product {
  int64_t images, stride, pixels, bunch, taps, depth, groups, columns;
  int64_t height, width, channels, top, left, tall, wide, room;
  const int64_t* pixel; const int64_t* tap;
  const float* x; const float* weights; float* scratch; float* out;
};
static void pad(const struct product* p, const float* x, float* to) {
  int64_t line = p->wide * p->channels, length = p->width * p->channels;
  memset(to, 0, p->tall * line * 4);
  FOR(y, p->height) {
    memcpy(to + (y + p->top) * line + p->left * p->channels, x + y * length, length * 4);
  }
}
/* The images of a bunch, padded if they have to be. */
static const float* images(const struct product* p, int64_t begin, int64_t count, int64_t part) {
  const float* x = p->x + begin * p->stride;
  if (!p->tall) return x;
  float* to = p->scratch + part * p->room;
  FOR(i, count) pad(p, x + i * p->stride, to + i * p->tall * p->wide * p->channels);
  return to;
}
static inline int64_t image_size(const struct product* p) {
  return p->tall ? p->tall * p->wide * p->channels : p->stride;
}
static inline void put(float* out, const vf* sums, int64_t n) {
  int64_t v = 0;
  for (; (v + 1) * LANES <= n; v++) memcpy(out + v * LANES, sums + v, sizeof(vf));
  if (v * LANES < n) memcpy(out + v * LANES, sums + v, (n - v * LANES) * 4);
}
/* Where the next ROWS pixels lie; places beyond the last repeat the first. */
struct walk { int64_t image, pixel; };
static inline int next(const struct product* p, struct walk* w, int64_t left, const float* x,
                       const float* at[ROWS]) {
  int count = left < ROWS ? (int)left : ROWS;
  FOR(k, ROWS) {
    if (k >= count) { at[k] = at[0]; continue; }
    at[k] = x + w->image * image_size(p) + p->pixel[w->pixel];
    if (++w->pixel == p->pixels) w->pixel = 0, w->image++;
  }
  return count;
}
#define START(V) \
  vf sums[ROWS][V]; \
  FOR(r, ROWS) FOR(v, V) sums[r][v] = (vf){0}; \
  const float @POINTERS@;
#define PRODUCT(V) \
static void product##V(const struct product* p, const float* x, int64_t rows, const float* panel, \
                       float* out, int64_t n) { \
  const int64_t whole = p->groups * p->columns, taps = p->taps, depth = p->depth; \
  struct walk place = {0, 0}; \
  for (int64_t row = 0; row < rows; row += ROWS) { \
    const float *at[ROWS], *w = panel; \
    int count = next(p, &place, rows - row, x, at); \
    START(V) \
    FOR(t, taps) for (int64_t k = p->tap[t], end = k + depth; k < end; k++, w += V * LANES) { \
      const float value[ROWS] = {@VALUES@}; \
      vf c[V]; \
      FOR(v, V) c[v] = load(w + v * LANES); \
      FOR(r, ROWS) FOR(v, V) sums[r][v] += value[r] * c[v]; \
    } \
    FOR(r, count) put(out + (row + r) * whole, sums[r], n); \
  } \
}
PRODUCT(1) PRODUCT(2) PRODUCT(3)

int64_t product(const struct product* p, int64_t part, int64_t parts) {
  int64_t bunches = (p->images + p->bunch - 1) / p->bunch, columns = p->columns;
  int64_t end = bunches * (part + 1) / parts;
  for (int64_t b = bunches * part / parts; b < end; b++) {
    int64_t begin = b * p->bunch, left = p->images - begin;
    int64_t count = left < p->bunch ? left : p->bunch, rows = count * p->pixels;
    const float *x = images(p, begin, count, part), *w = p->weights;
    float* out = p->out + begin * p->pixels * p->groups * columns;
    FOR(g, p->groups) for (int64_t c = 0, v; c < columns; c += v * LANES) {
      int64_t n = columns - c, all = (n + LANES - 1) / LANES;
      v = all == PANEL + 1 ? 2 : all < PANEL ? all : PANEL;
      n = n < v * LANES ? n : v * LANES;
      const float* from = x + g * p->depth;
      float* to = out + g * columns + c;
      if (v == 1) product1(p, from, rows, w, to, n);
      else if (v == 2) product2(p, from, rows, w, to, n);
      else product3(p, from, rows, w, to, n);
      w += p->taps * p->depth * v * LANES;
    }
  }
  return 0;
}

#define DEPTHWISE(V) \
static void depthwise##V(const struct product* p, const float* x, int64_t rows, const float* w, \
                         int64_t line, float* out, int64_t n) { \
  struct walk place = {0, 0}; \
  for (int64_t row = 0; row < rows; row += ROWS) { \
    const float* at[ROWS]; \
    int count = next(p, &place, rows - row, x, at); \
    START(V) \
    FOR(t, p->taps) { \
      const int64_t k = p->tap[t]; \
      FOR(v, V) { \
        const int64_t j = k + v * LANES; \
        const vf c = load(w + t * line + v * LANES); \
        @SUMS@ \
      } \
    } \
    FOR(r, count) put(out + (row + r) * p->channels, sums[r], n); \
  } \
}
DEPTHWISE(1) DEPTHWISE(2)

/* One filter per channel; weights [taps, channels], channels in whole vectors. */
int64_t depthwise(const struct product* p, int64_t part, int64_t parts) {
  int64_t bunches = (p->images + p->bunch - 1) / p->bunch, channels = p->channels;
  int64_t end = bunches * (part + 1) / parts, line = (channels + LANES - 1) / LANES * LANES;
  for (int64_t b = bunches * part / parts; b < end; b++) {
    int64_t begin = b * p->bunch, left = p->images - begin;
    int64_t count = left < p->bunch ? left : p->bunch, rows = count * p->pixels;
    const float* x = images(p, begin, count, part);
    float* out = p->out + begin * p->pixels * channels;
    for (int64_t c = 0; c < channels; c += 2 * LANES) {
      int64_t n = channels - c < 2 * LANES ? channels - c : 2 * LANES;
      if (n > LANES) depthwise2(p, x + c, rows, p->weights + c, line, out + c, n);
      else depthwise1(p, x + c, rows, p->weights + c, line, out + c, n);
    }
  }
  return 0;
}
"""


def _each_row(template: str, between: str) -> str:
    return between.join(template.format(r=r) for r in range(ROWS))


PRODUCT = (
    _PRODUCT.replace("@POINTERS@", _each_row("*x{r} = at[{r}]", ", "))
    .replace("@VALUES@", _each_row("x{r}[k]", ", "))
    .replace("@SUMS@", _each_row("sums[{r}][v] += load(x{r} + j) * c;", " "))
)
