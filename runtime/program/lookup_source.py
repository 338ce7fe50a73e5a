"""C source of products with constant matrices, and of convolutions, of binary spikes.

Four binary spikes have sixteen sums: one addition of an entry of a table takes the place of four
multiplications. Tables repay themselves where many rows use them; elsewhere `quads_source`
multiplies, and rounds as the tables do.
"""

from __future__ import annotations

from onnx2snn.runtime.program.product_source import tile
from onnx2snn.runtime.program.quads_source import QUAD

# Bytes of the tables in use, most of a first-level cache, and rows that share them.
TABLE_BYTES, MOST_ROWS = 24 << 10, 1024
# Rows of tiles that add up entries, by vectors of a panel; half as many where few are left.
_ENTRIES = {1: 8, 2: 6, 3: 4}

_FRAME = r"""
#define TABLE_BYTES @TABLE_BYTES@
#define MOST_ROWS @MOST_ROWS@
#define MOST_STRETCHES 64
/* A product as above of binary spikes, a bit each, set where an increment is negative. Images of a
   time step, `batch` of them, lie bit by bit one behind the other, and so do a pixel's channels.
   Channel c weighs step_sizes[c % sizes] of its time step, times factor[c % factors] unless that is
   null; both repeat after whole quads. Each part has room for the codes of so many quads. */
struct lookup {
  int64_t images, stride, spread, batch, kinds, taps, depth, groups, columns;
  const int64_t *kind, *pixel, *tap;
  const uint8_t* bits; const float* weights; float* out;
  const float* step_sizes; int64_t sizes; const int64_t* time;
  const float* factor; int64_t factors;
  uint16_t* codes; int64_t room;
};
struct spot { const uint16_t* at; float* to; };
/* Rows of one kind. */
struct stretch { const int64_t* tap; int64_t taps; const struct spot* row; int64_t rows; };
/* Quads side by side: where an image has them, and the tables. */
struct span { int64_t at, entry, quads; };
/* Rows on their way through all panels of weights. */
struct batch {
  const struct lookup* p;
  const float* step_sizes; const uint16_t* codes;
  struct stretch stretch[MOST_STRETCHES];
  int64_t stretches, rows;
  struct spot row[MOST_ROWS];
};
/* Which entry of a table of vectors each quad asks for, in bytes. */
static void encode(const uint8_t* bits, int64_t quads, uint16_t* codes) {
  FOR(i, quads / 2) {
    uint32_t two = ((bits[i] | (uint32_t)bits[i] << 12) & 0xf000f) * 4 * LANES;
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    two = two << 16 | two >> 16;
#endif
    memcpy(codes + 2 * i, &two, sizeof two);
  }
}
/* Which quads of a kind's taps are among those from `first` on. */
static int64_t within(const struct stretch* r, int64_t depth, int64_t group, int64_t first,
                      int64_t end, struct span* span) {
  int64_t count = 0;
  EACH_TAP {
    int64_t quad = tap[1] * depth / QUAD, last = quad + tap[2] / QUAD;
    int64_t from = quad > first ? quad : first, to = last < end ? last : end;
    if (from < to)
      span[count++] = (struct span){(tap[0] + group) / QUAD + from - quad, from - first, to - from};
  }
  return count;
}
"""

_TABLES = r"""
static void tables@V@(const struct batch* b, const struct panel* panel, int64_t first, int64_t end,
                      float* table) {
  const struct lookup* p = b->p;
  const int64_t depth = p->depth, group = panel->group * depth, last = group + depth;
  const int64_t sizes = p->sizes, factors = p->factors;
  const float* w = panel->weights + QUAD * first * @V@ * LANES;
  int64_t c = group + QUAD * first % depth, size = c % sizes, factor = c % factors;
  for (int64_t quad = first; quad < end; quad++) {
    float e[QUAD];
    memcpy(e, b->step_sizes + size, sizeof e);
    if (p->factor) FOR(k, QUAD) e[k] *= p->factor[factor + k];
    FOR(v, @V@) {
      @LEVELS@
    }
    w += QUAD * @V@ * LANES, table += 16 * @SCALE@ * LANES;
    if ((c += QUAD) == last) {
      c = group, size = group % sizes, factor = group % factors;
      continue;
    }
    if ((size += QUAD) == sizes) size = 0;
    if ((factor += QUAD) == factors) factor = 0;
  }
}
"""

_ENTRY = r"""
static INLINE void entries@R@_@V@(const struct span* span, int64_t spans, const struct spot* row,
    const float* table, int64_t c, int64_t n, int first) {
  const uint16_t @ROWS:*x{r} = row[{r}].at@;
  vf @CELLS:s{r}_{v} = {0}@;
  if (!first && n == @V@ * LANES) {
    @CELLS:s{r}_{v} = load(row[{r}].to + c + {v} * LANES)@;
  } else if (!first) {
    vf line[@R@ * @V@] = {{0}};
    FOR(i, @R@) memcpy(line + i * @V@, row[i].to + c, n * 4);
    @CELLS:s{r}_{v} = line[{r} * @V@ + {v}]@;
  }
  FOR(i, spans) {
    const char* t = (const char*)table + span[i].entry * 64 * @SCALE@ * LANES;
    for (int64_t k = span[i].at, end = k + span[i].quads; k < end; k++, t += 64 * @SCALE@ * LANES) {
      const float @ROWS:*t{r} = (const float*)(t + @SCALE@ * (size_t)x{r}[k])@;
      @CELLS:s{r}_{v} += load(t{r} + {v} * LANES)@;
    }
  }
  @PUT@
}
"""

_PANEL = r"""
static __attribute__((noinline)) void lookup@V@(const struct batch* b, const struct panel* panel,
                                                int64_t n) {
  enum { MOST_QUADS = TABLE_BYTES / (64 * @SCALE@ * LANES) };
  __attribute__((aligned(64))) float table[MOST_QUADS * 16 * @SCALE@ * LANES];
  const int64_t depth = b->p->depth, quads = b->p->taps * depth / QUAD;
  const int64_t group = panel->group * depth, c = panel->group * b->p->columns + panel->column;
  for (int64_t q = 0; q < quads; q += MOST_QUADS) {
    int64_t end = q + MOST_QUADS < quads ? q + MOST_QUADS : quads;
    tables@V@(b, panel, q, end, table);
    FOR(i, b->stretches) {
      const struct stretch* r = b->stretch + i;
      const struct spot* row = r->row;
      struct span span[MOST_QUADS];
      int64_t left = r->rows, spans = within(r, depth, group, q, end, span);
      for (; left >= @R@; row += @R@, left -= @R@)
        entries@R@_@V@(span, spans, row, table, c, n, !q);
      if (!left) continue;
      struct spot rest[@R@];
      FOR(k, @R@) rest[k] = row[k < left ? k : 0];
      if (left > @FEW@) entries@R@_@V@(span, spans, rest, table, c, n, !q);
      else entries@FEW@_@V@(span, spans, rest, table, c, n, !q);
    }
  }
}
"""

_KERNEL = r"""
/* Where a walk over all rows of some images is, kind by kind. */
struct walk { int64_t kind, image, at; const int64_t *pixel, *tap; };
/* The next rows. */
static void fill(struct batch* b, struct walk* walk, int64_t images, float* out) {
  const struct lookup* p = b->p;
  const int64_t stride = p->stride / QUAD;
  b->stretches = b->rows = 0;
  while (walk->kind < p->kinds && b->rows < MOST_ROWS && b->stretches < MOST_STRETCHES) {
    const int64_t pixels = p->kind[2 * walk->kind], taps = p->kind[2 * walk->kind + 1];
    struct stretch* r = b->stretch + b->stretches++;
    *r = (struct stretch){walk->tap, taps, b->row + b->rows, 0};
    while (walk->image < images && b->rows < MOST_ROWS) {
      const int64_t* pixel = walk->pixel + 2 * walk->at;
      const uint16_t* codes = b->codes + walk->image * stride;
      float* to = out + walk->image * p->spread;
      struct spot* row = b->row + b->rows;
      int64_t n = MOST_ROWS - b->rows;
      if (pixels == 1) {
        if (n > images - walk->image) n = images - walk->image;
        FOR(k, n) row[k].at = codes + pixel[0] / QUAD + k * stride;
        FOR(k, n) row[k].to = to + pixel[1] + k * p->spread;
        walk->image += n;
      } else {
        if (n > pixels - walk->at) n = pixels - walk->at;
        FOR(k, n) row[k] = (struct spot){codes + pixel[2 * k] / QUAD, to + pixel[2 * k + 1]};
        if ((walk->at += n) == pixels) walk->at = 0, walk->image++;
      }
      b->rows += n, r->rows += n;
    }
    if (walk->image == images)
      *walk = (struct walk){walk->kind + 1, 0, 0, walk->pixel + 2 * pixels, walk->tap + 3 * taps};
  }
}
static void all_panels(const struct batch* b) {
  const struct lookup* p = b->p;
  struct panel panel = {p->weights, 0, 0};
  while (panel.group < p->groups) {
    int64_t v = width(p->columns, &panel), n = p->columns - panel.column;
    (v == 1 ? lookup1 : v == 2 ? lookup2 : lookup3)(b, &panel, n < v * LANES ? n : v * LANES);
    pass(p->columns, p->taps * p->depth, &panel);
  }
}
int64_t lookup(const struct lookup* p, int64_t part, int64_t parts) {
  int64_t end = p->images * (part + 1) / parts, most = p->room * QUAD / p->stride;
  uint16_t* codes = p->codes + part * p->room;
  struct batch b;
  b.p = p, b.codes = codes;
  for (int64_t image = p->images * part / parts, count; image < end; image += count) {
    count = p->batch - image % p->batch;
    count = count < most ? count : most;
    count = count < end - image ? count : end - image;
    encode(p->bits + image * p->stride / 8, count * p->stride / QUAD, codes);
    b.step_sizes = p->step_sizes + (*p->time + image / p->batch) * p->sizes;
    struct walk walk = {0, 0, 0, p->pixel, p->tap};
    while (walk.kind < p->kinds) {
      fill(&b, &walk, count, p->out + image * p->spread);
      all_panels(&b);
    }
  }
  return 0;
}
"""


def _levels() -> str:
    """All sums of a quad: of its first number, of two, of three, and of four.

    Those whose first number is negative are others' opposites, and round like them.
    """
    lines = []
    for k in range(QUAD):
        lines.append(f"const vf e{k} = all(e[{k}]), w{k} = load(w + ({k} * @V@ + v) * LANES);")
        known = range(0, 1 << k, 2)
        values = [("", i, i) for i in known] + [("-", i, i + (1 << k)) for i in known]
        for sign, before, entry in values if k else [("", 0, 0)]:
            value = f"fused({sign}e{k}, w{k}, s{k}_{before})" if k else "e0 * w0"
            lines.append(f"const vf s{k + 1}_{entry} = {value};")
    for i in range(1 << QUAD):
        value = f"-s{QUAD}_{(1 << QUAD) - 1 - i}" if i % 2 else f"s{QUAD}_{i}"
        lines.append(f"put(table + ({i} * @SCALE@ + v) * LANES, {value});")
    return "\n      ".join(lines)


def _panel(vectors: int) -> str:
    """The code for panels of so many vectors, in whose tables entries are powers of two apart."""
    rows, scale = _ENTRIES[vectors], str(1 << (vectors - 1))
    tables, entry, panel = (
        text.replace("@SCALE@", scale).replace("@LEVELS@", _levels())
        for text in (_TABLES, _ENTRY, _PANEL)
    )
    tiles = [tile(entry, count, vectors) for count in (rows // 2, rows)]
    code = "".join(
        [tables, *tiles, panel.replace("@R@", str(rows)).replace("@FEW@", str(rows // 2))]
    )
    return code.replace("@SCALE@", scale).replace("@V@", str(vectors))


LOOKUP = "".join([_FRAME, *map(_panel, (1, 2, 3)), _KERNEL])
LOOKUP = LOOKUP.replace("@TABLE_BYTES@", str(TABLE_BYTES)).replace("@MOST_ROWS@", str(MOST_ROWS))
