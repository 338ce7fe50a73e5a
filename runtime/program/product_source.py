"""C source of products with constant matrices and of convolutions.

A tile of some rows and up to PANEL vectors of columns stays in registers over the whole depth.
"""

from __future__ import annotations

from onnx2snn.runtime.vectors import LANES

# Rows of a tile and vectors of the widest panel: together they fill the registers, 32 where
# vectors have 16 numbers and 16 elsewhere.
ROWS, PANEL = (8, 3) if LANES == 16 else (6, 2)
# Rows of the tiles that are left over: as few as keep the multipliers busy.
REST = 4

_FRAME = r"""
/* Sums over the taps of each pixel, of numbers that lie `step` apart: `depth` of each tap, some of
   which are side by side and count as one. Pixels with the same taps are of one kind: at the edge
   of an image they have fewer, as zeros around it are not read. A product has one kind, one tap,
   and as many pixels or images as rows. Images lie `stride` apart, their results `spread`. Weights
   lie in panels of up to PANEL vectors of columns, group by group, `taps` in each. `bunch` images
   share `together` panels while these are in the cache. */
struct product {
  int64_t images, stride, spread, bunch, together, kinds, taps, depth, step, groups, columns;
  const int64_t* kind; /* pixels and taps of each */
  const int64_t* pixel; /* kind by kind: where each is in an image, and in a result */
  const int64_t* tap; /* kind by kind: how far each is from a pixel, its weights, its numbers */
  const float* x; const float* weights; float* out;
};
struct panel { const float* weights; int64_t group, column; };
/* The pixels of one kind in some images, from some pixel of an image on. */
struct lot {
  const int64_t *pixel, *tap;
  int64_t pixels, taps;
  const float* x; float* out;
  int64_t left, next;
};
struct tile { const float* at[ROWS]; float* to[ROWS]; int64_t count; };
static inline void put(float* out, const vf* sums, int64_t n) {
  int64_t v = 0;
  for (; (v + 1) * LANES <= n; v++) memcpy(out + v * LANES, sums + v, sizeof(vf));
  if (v * LANES < n) memcpy(out + v * LANES, sums + v, (n - v * LANES) * 4);
}
#define PUT(V) \
  if (n == V * LANES) FOR(r, tile->count) memcpy(tile->to[r] + c, sums[r], sizeof sums[r]); \
  else FOR(r, tile->count) put(tile->to[r] + c, sums[r], n);
/* Whether the next tile is a small one. */
static inline int small(int64_t left) {
  return left <= REST || (left == 2 * REST && left > ROWS);
}
/* The next rows; those beyond the last read what the first reads. Most tiles lie within an image,
   or have one row of each. */
static inline void take(const struct product* p, struct lot* r, const int64_t most,
                        struct tile* t) {
  t->count = r->left < most ? r->left : most;
  r->left -= t->count;
  const int64_t* pixel = r->pixel + 2 * r->next;
  if (t->count == most && r->pixels == 1) {
    FOR(k, most) t->at[k] = r->x + k * p->stride + pixel[0];
    FOR(k, most) t->to[k] = r->out + k * p->spread + pixel[1];
    r->x += most * p->stride, r->out += most * p->spread;
  } else if (t->count == most && r->next + most < r->pixels) {
    FOR(k, most) t->at[k] = r->x + pixel[2 * k], t->to[k] = r->out + pixel[2 * k + 1];
    r->next += most;
  } else {
    FOR(k, most) {
      if (k >= t->count) { t->at[k] = t->at[0]; continue; }
      t->at[k] = r->x + r->pixel[2 * r->next], t->to[k] = r->out + r->pixel[2 * r->next + 1];
      if (++r->next == r->pixels) r->next = 0, r->x += p->stride, r->out += p->spread;
    }
  }
}
/* Vectors of columns in a panel. */
static inline int64_t width(const struct product* p, const struct panel* panel) {
  int64_t left = (p->columns - panel->column + LANES - 1) / LANES;
  return left == PANEL + 1 ? 2 : left < PANEL ? left : PANEL;
}
static inline void pass(const struct product* p, struct panel* panel) {
  int64_t columns = width(p, panel) * LANES;
  panel->weights += p->taps * p->depth * columns;
  panel->column += columns;
  if (panel->column >= p->columns) panel->column = 0, panel->group++;
}
#define START(R, V) vf sums[R][V]; FOR(r, R) FOR(v, V) sums[r][v] = (vf){0};
#define EACH_TAP for (const int64_t *tap = r->tap, *last = tap + 3 * r->taps; tap < last; tap += 3)
"""

_TILES = r"""
#define PRODUCT@R@(V) \
static __attribute__((noinline)) void product@R@_##V(const struct product* p, \
    const struct lot* r, const struct tile* tile, const struct panel* panel, int64_t n) { \
  const int64_t depth = p->depth, step = p->step, x = panel->group * depth; \
  const int64_t c = panel->group * p->columns + panel->column; \
  const float @POINTERS@; \
  START(@R@, V) \
  EACH_TAP { \
    const float* w = panel->weights + tap[1] * depth * V * LANES; \
    for (int64_t k = tap[0] + x, end = k + tap[2] * step; k < end; k += step, w += V * LANES) { \
      const float value[@R@] = {@VALUES@}; \
      vf c[V]; \
      FOR(v, V) c[v] = load(w + v * LANES); \
      FOR(r, @R@) FOR(v, V) sums[r][v] += value[r] * c[v]; \
    } \
  } \
  PUT(V) \
}
PRODUCT@R@(1) PRODUCT@R@(2) PRODUCT@R@(3)
static void product@R@(const struct product* p, const struct lot* r, const struct tile* tile,
                       struct panel panel, int64_t panels) {
  for (; panels; panels--) {
    int64_t v = width(p, &panel), left = p->columns - panel.column;
    int64_t n = left < v * LANES ? left : v * LANES;
    (v == 1 ? product@R@_1 : v == 2 ? product@R@_2 : product@R@_3)(p, r, tile, &panel, n);
    pass(p, &panel);
  }
}

#define DEPTHWISE@R@(V) \
static inline void depthwise@R@_##V(const struct lot* r, const struct tile* tile, \
                                    const float* weights, int64_t line, int64_t c, int64_t n) { \
  const float @POINTERS@; \
  START(@R@, V) \
  EACH_TAP FOR(v, V) { \
    const int64_t j = tap[0] + c + v * LANES; \
    const vf w = load(weights + tap[1] * line + c + v * LANES); \
    @SUMS@ \
  } \
  PUT(V) \
}
DEPTHWISE@R@(1) DEPTHWISE@R@(2)
static void depthwise@R@(const struct product* p, const struct lot* r, const struct tile* tile) {
  const int64_t channels = p->groups, line = (channels + LANES - 1) / LANES * LANES;
  for (int64_t c = 0; c < channels; c += 2 * LANES) {
    int64_t n = channels - c < 2 * LANES ? channels - c : 2 * LANES;
    if (n > LANES) depthwise@R@_2(r, tile, p->weights, line, c, n);
    else depthwise@R@_1(r, tile, p->weights, line, c, n);
  }
}
"""

_KERNELS = r"""
/* All tiles of so many images, kind by kind. */
#define ALL_TILES(few, many, ...) \
  const int64_t *pixel = p->pixel, *tap = p->tap; \
  FOR(i, p->kinds) { \
    struct lot r = {pixel, tap, p->kind[2 * i], p->kind[2 * i + 1], x, out}; \
    r.left = images * r.pixels; \
    pixel += 2 * r.pixels, tap += 3 * r.taps; \
    for (struct tile t; r.left;) { \
      if (small(r.left)) { take(p, &r, REST, &t); few(p, &r, &t __VA_ARGS__); } \
      else { take(p, &r, ROWS, &t); many(p, &r, &t __VA_ARGS__); } \
    } \
  }
/* Tiles of edges jump to and fro, and memory answers best in order. */
static void fetch(const float* x, int64_t n) {
  for (int64_t i = 0; i < n; i += 16) (void)*(const volatile float*)(x + i);
}
static void columns(const struct product* p, int64_t images, const float* x, float* out) {
  if (p->kinds > 1) fetch(x, images * p->stride);
  struct panel panel = {p->weights, 0, 0};
  while (panel.group < p->groups) {
    struct panel next = panel;
    int64_t panels = 0;
    for (; panels < p->together && next.group < p->groups; panels++) pass(p, &next);
    ALL_TILES(product@REST@, product@ROWS@, , panel, panels)
    panel = next;
  }
}
static void filters(const struct product* p, int64_t images, const float* x, float* out) {
  ALL_TILES(depthwise@REST@, depthwise@ROWS@)
}
#define ALL_BUNCHES(run) \
  int64_t end = p->images * (part + 1) / parts; \
  for (int64_t b = p->images * part / parts, count; b < end; b += count) { \
    count = end - b < p->bunch ? end - b : p->bunch; \
    run(p, count, p->x + b * p->stride, p->out + b * p->spread); \
  } \
  return 0;
int64_t product(const struct product* p, int64_t part, int64_t parts) { ALL_BUNCHES(columns) }
/* One filter per channel; weights [taps, channels], channels in whole vectors. */
int64_t depthwise(const struct product* p, int64_t part, int64_t parts) { ALL_BUNCHES(filters) }
"""


def _each_row(rows: int, template: str, between: str) -> str:
    return between.join(template.format(r=r) for r in range(rows))


def _tiles(rows: int) -> str:
    text = _TILES.replace("@R@", str(rows))
    text = text.replace("@POINTERS@", _each_row(rows, "*x{r} = tile->at[{r}]", ", "))
    text = text.replace("@VALUES@", _each_row(rows, "x{r}[k]", ", "))
    return text.replace("@SUMS@", _each_row(rows, "sums[{r}][v] += load(x{r} + j) * w;", " "))


PRODUCT = _FRAME + _tiles(ROWS) + _tiles(REST) + _KERNELS
