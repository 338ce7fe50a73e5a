"""C source of products with constant matrices and of convolutions.

A tile of some rows and up to PANEL vectors of columns stays in registers over the whole depth. Its
sums are variables of their own: of an array that is read at the end, compilers keep a copy.
"""

from __future__ import annotations

import re

from onnx2snn.runtime.vectors import LANES

# Rows of a tile and vectors of the widest panel: together they fill the registers, 32 where
# vectors have 16 numbers and 16 elsewhere.
ROWS, PANEL = (8, 3) if LANES == 16 else (6, 2)
# Rows of tiles of one vector, and of tiles that are left over: as few as keep the multipliers busy.
TALL, REST = 8, 4
# Rows that are found at a time.
MOST = 96
# Numbers of images that no cache holds.
FAR = 1 << 21

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
struct row { const float* at; float* to; };
#define INLINE inline __attribute__((always_inline))
#define EACH_TAP for (const int64_t *tap = r->tap, *last = tap + 3 * r->taps; tap < last; tap += 3)
static INLINE void put(float* out, vf sums) { memcpy(out, &sums, sizeof sums); }
/* The next rows, at most MOST, and behind them the first one as often as fills a tile. */
static int64_t take(const struct product* p, struct lot* r, struct row* row) {
  int64_t count = 0;
  while (r->left && count < MOST) {
    int64_t n = r->left < MOST - count ? r->left : MOST - count;
    const int64_t* pixel = r->pixel + 2 * r->next;
    if (r->pixels == 1) {
      FOR(k, n) row[count + k].at = r->x + k * p->stride + pixel[0];
      FOR(k, n) row[count + k].to = r->out + k * p->spread + pixel[1];
      r->x += n * p->stride, r->out += n * p->spread;
    } else {
      if (n > r->pixels - r->next) n = r->pixels - r->next;
      FOR(k, n) row[count + k] = (struct row){r->x + pixel[2 * k], r->out + pixel[2 * k + 1]};
      if ((r->next += n) == r->pixels) r->next = 0, r->x += p->stride, r->out += p->spread;
    }
    count += n, r->left -= n;
  }
  FOR(k, TALL - 1) row[count + k] = row[0];
  return count;
}
/* Vectors of columns in a panel. */
static inline int64_t width(int64_t columns, const struct panel* panel) {
  int64_t left = (columns - panel->column + LANES - 1) / LANES;
  return left == PANEL + 1 ? 2 : left < PANEL ? left : PANEL;
}
static inline void pass(int64_t columns, int64_t numbers, struct panel* panel) {
  int64_t passed = width(columns, panel) * LANES;
  panel->weights += numbers * passed;
  panel->column += passed;
  if (panel->column >= columns) panel->column = 0, panel->group++;
}
"""

_PRODUCT = r"""
static INLINE void product@R@_@V@(const struct product* p, const struct lot* r,
    const struct row* row, const struct panel* panel, int64_t n) {
  const int64_t depth = p->depth, step = p->step, x = panel->group * depth;
  const int64_t c = panel->group * p->columns + panel->column;
  const float @ROWS:*x{r} = row[{r}].at@;
  vf @CELLS:s{r}_{v} = {0}@;
  EACH_TAP {
    const float* w = panel->weights + tap[1] * depth * @V@ * LANES;
    for (int64_t k = tap[0] + x, end = k + tap[2] * step; k < end; k += step, w += @V@ * LANES) {
      const vf @VECTORS:w{v} = load(w + {v} * LANES)@;
      @CELLS:s{r}_{v} += x{r}[k] * w{v}@;
    }
  }
  @PUT@
}
"""

_DEPTHWISE = r"""
static INLINE void depthwise@R@_@V@(const struct lot* r, const struct row* row,
    const float* weights, int64_t line, int64_t c, int64_t n) {
  const float @ROWS:*x{r} = row[{r}].at@;
  vf @CELLS:s{r}_{v} = {0}@;
  EACH_TAP {
    const int64_t j = tap[0] + c;
    const float* w = weights + tap[1] * line + c;
    const vf @VECTORS:w{v} = load(w + {v} * LANES)@;
    @CELLS:s{r}_{v} += load(x{r} + j + {v} * LANES) * w{v}@;
  }
  @PUT@
}
"""

_PUT = r"""if (n == @V@ * LANES) {
    @CELLS:put(row[{r}].to + c + {v} * LANES, s{r}_{v})@;
  } else {
    const vf line[] = {@CELLS:s{r}_{v}@};
    FOR(i, @R@) memcpy(row[i].to + c, line + i * @V@, n * 4);
  }"""

_KERNELS = r"""
/* All tiles of some rows, `few` of them in the last one or two. */
#define TILES(rows, few, rest, whole, ...) \
  while (left > 0) { \
    if (left <= few || (left == 2 * few && left > rows)) { \
      rest(__VA_ARGS__); \
      row += few, left -= few; \
    } else { \
      whole(__VA_ARGS__); \
      row += rows, left -= rows; \
    } \
  }
typedef void tiles(const struct product* p, const struct lot* r, const struct row* row,
                   int64_t left, const struct panel* panel, int64_t n);
#define PANELS(name, rows, few, rest, whole) \
static __attribute__((noinline)) void name(const struct product* p, const struct lot* r, \
    const struct row* row, int64_t left, const struct panel* panel, int64_t n) { \
  TILES(rows, few, rest, whole, p, r, row, panel, n) \
}
PANELS(panel1, TALL, REST, product@REST@_1, product@TALL@_1)
PANELS(panel2, ROWS, REST, product@REST@_2, product@ROWS@_2)
PANELS(panel3, ROWS, REST, product@REST@_3, product@ROWS@_3)
static tiles* const by_number[] = {panel1, panel2, panel3};
static void panels(const struct product* p, const struct lot* r, const struct row* row,
                   int64_t left, tiles* const* run, struct panel panel, int64_t count) {
  for (; count; count--) {
    int64_t v = width(p->columns, &panel), rest = p->columns - panel.column;
    int64_t n = rest < v * LANES ? rest : v * LANES;
    run[v - 1](p, r, row, left, &panel, n);
    pass(p->columns, p->taps * p->depth, &panel);
  }
}
#define CHANNELS(R, one, two) \
static void channels##R(const struct product* p, const struct lot* r, const struct row* row) { \
  const int64_t channels = p->groups, line = (channels + LANES - 1) / LANES * LANES; \
  for (int64_t c = 0; c < channels; c += 2 * LANES) { \
    int64_t n = channels - c < 2 * LANES ? channels - c : 2 * LANES; \
    (n > LANES ? two : one)(r, row, p->weights, line, c, n); \
  } \
}
CHANNELS(@REST@, depthwise@REST@_1, depthwise@REST@_2)
CHANNELS(@ROWS@, depthwise@ROWS@_1, depthwise@ROWS@_2)
static void channels(const struct product* p, const struct lot* r, const struct row* row,
                     int64_t left) {
  TILES(ROWS, REST, channels@REST@, channels@ROWS@, p, r, row)
}
/* One of several equal parts of some images; of a single image, of its pixels of each kind. */
struct share { int64_t images, part, parts; };
/* All rows of a share, kind by kind. */
#define ALL_ROWS(run, ...) \
  const int64_t *pixel = p->pixel, *tap = p->tap; \
  FOR(i, p->kinds) { \
    struct row row[MOST + TALL]; \
    const int64_t pixels = p->kind[2 * i], first = pixels * share.part / share.parts; \
    struct lot r = {pixel + 2 * first, tap, pixels * (share.part + 1) / share.parts - first}; \
    r.taps = p->kind[2 * i + 1], r.x = x, r.out = out, r.left = share.images * r.pixels; \
    pixel += 2 * pixels, tap += 3 * r.taps; \
    while (r.left) { int64_t rows = take(p, &r, row); run(p, &r, row, rows __VA_ARGS__); } \
  }
/* Tiles of edges jump to and fro, and memory answers best in order: so it does where images come
   from beyond the caches. */
static void fetch(const float* x, int64_t n) {
  for (int64_t i = 0; i < n; i += 16) (void)*(const volatile float*)(x + i);
}
static void columns(const struct product* p, struct share share, const float* x, float* out,
                    tiles* const* run) {
  if (p->kinds > 1 || p->images * p->stride > FAR) fetch(x, share.images * p->stride);
  struct panel panel = {p->weights, 0, 0};
  while (panel.group < p->groups) {
    struct panel next = panel;
    int64_t count = 0;
    for (; count < p->together && next.group < p->groups; count++)
      pass(p->columns, p->taps * p->depth, &next);
    ALL_ROWS(panels, , run, panel, count)
    panel = next;
  }
}
static void filters(const struct product* p, struct share share, const float* x, float* out) {
  ALL_ROWS(channels)
}
#define ALL_BUNCHES(run, ...) \
  if (p->images == 1) { \
    run(p, (struct share){1, part, parts}, p->x, p->out __VA_ARGS__); \
    return 0; \
  } \
  int64_t end = p->images * (part + 1) / parts; \
  for (int64_t b = p->images * part / parts, count; b < end; b += count) { \
    count = end - b < p->bunch ? end - b : p->bunch; \
    struct share share = {count, 0, 1}; \
    run(p, share, p->x + b * p->stride, p->out + b * p->spread __VA_ARGS__); \
  } \
  return 0;
int64_t product(const struct product* p, int64_t part, int64_t parts) {
  ALL_BUNCHES(columns, , by_number)
}
/* One filter per channel; weights [taps, channels], channels in whole vectors. */
int64_t depthwise(const struct product* p, int64_t part, int64_t parts) { ALL_BUNCHES(filters) }
"""


def tile(template: str, rows: int, vectors: int) -> str:
    """The code of one tile.

    `@ROWS:...@` stands for a list of an entry for every row {r}, `@VECTORS:...@` for every
    vector {v}, `@CELLS:...@` for every pair of them.
    """
    cells = [(r, v) for r in range(rows) for v in range(vectors)]
    lists = {"ROWS": cells[::vectors], "VECTORS": cells[:vectors], "CELLS": cells}

    def entries(match: re.Match[str]) -> str:
        each = (match[2].replace("{r}", str(r)).replace("{v}", str(v)) for r, v in lists[match[1]])
        return ", ".join(each)

    text = template.replace("@PUT@", _PUT).replace("@R@", str(rows)).replace("@V@", str(vectors))
    return re.sub("@([A-Z]+):([^@]*)@", entries, text)


def _tiles() -> str:
    products = {(TALL, 1), (ROWS, 2), (ROWS, 3), *((REST, v) for v in (1, 2, 3))}
    filters = {(rows, v) for rows in (ROWS, REST) for v in (1, 2)}
    code = [tile(_PRODUCT, *shape) for shape in sorted(products)]
    return "".join([*code, *(tile(_DEPTHWISE, *shape) for shape in sorted(filters))])


PRODUCT = _FRAME + _tiles() + _KERNELS
