"""C source of products whose numbers are summed up four by four, as `lookup_source` does."""

from __future__ import annotations

from onnx2snn.runtime.program.product_source import tile
from onnx2snn.runtime.vectors import LANES

# Numbers side by side that are summed up before they are added to others.
QUAD = 4
# Rows of tiles, by vectors of a panel, with room for two sums of each.
_ROWS = {1: 6, 2: 4, 3: 4} if LANES == 16 else {1: 6, 2: 3, 3: 1}

_ARITHMETIC = r"""
#define QUAD @QUAD@
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__ARM_FEATURE_FMA)
#include <arm_neon.h>
#endif
/* a b + c, rounded once where the processor can, whatever compilers make of other sums. */
static INLINE vf fused(vf a, vf b, vf c) {
#if defined(__AVX512F__) && LANES == 16
  return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__FMA__) && LANES == 8
  return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__FMA__) && LANES == 4
  return (vf)_mm_fmadd_ps((__m128)a, (__m128)b, (__m128)c);
#elif defined(__ARM_FEATURE_FMA)
  return (vf)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
  return a * b + c;
#endif
}
static INLINE vf all(float x) { return x - (vf){0}; }
/* Stays in a register: compilers would rather read it from memory for every row. */
static INLINE vf held(const float* p) {
  vf x = load(p);
#if defined(__AVX512F__) || (defined(__x86_64__) && LANES < 16)
  __asm__("" : "+v"(x));
#endif
  return x;
}
"""

_MULTIPLY = r"""
static INLINE void quads@R@_@V@(const struct product* p, const struct lot* r,
    const struct row* row, const struct panel* panel, int64_t n) {
  const int64_t depth = p->depth, x = panel->group * depth;
  const int64_t c = panel->group * p->columns + panel->column;
  const float @ROWS:*x{r} = row[{r}].at@;
  vf @CELLS:s{r}_{v} = {0}@;
  EACH_TAP {
    const float* w = panel->weights + tap[1] * depth * @V@ * LANES;
    int64_t k = tap[0] + x;
    for (const int64_t end = k + tap[2]; k < end; k += QUAD, w += QUAD * @V@ * LANES) {
      @STEPS@
      @CELLS:s{r}_{v} += d3_{r}_{v}@;
    }
  }
  @PUT@
}
"""

_QUADS = r"""
PANELS(quads1, @1@, @1@, quads@1@_1, quads@1@_1)
PANELS(quads2, @2@, @2@, quads@2@_2, quads@2@_2)
PANELS(quads3, @3@, @3@, quads@3@_3, quads@3@_3)
static tiles* const by_quads[] = {quads1, quads2, quads3};
/* A product whose taps are whole quads, side by side, each summed up before it is added. */
int64_t quads(const struct product* p, int64_t part, int64_t parts) {
  ALL_BUNCHES(columns, , by_quads)
}
"""


def _multiplied(rows: int, vectors: int) -> str:
    """The tile that multiplies: the sum of a quad, number by number, then that of all quads."""
    steps = []
    for k in range(QUAD):
        weights = f"const vf @VECTORS:w{k}_{{v}} = held(w + ({k} * @V@ + {{v}}) * LANES)@;"
        operands = f"all(x{{r}}[k + {k}]), w{k}_{{v}}"
        value = f"fused({operands}, d{k - 1}_{{r}}_{{v}})" if k else operands.replace(",", " *")
        steps.append(f"{weights} const vf @CELLS:d{k}_{{r}}_{{v}} = {value}@;")
    return tile(_MULTIPLY.replace("@STEPS@", "\n      ".join(steps)), rows, vectors)


def _source() -> str:
    frame = _QUADS
    for vectors, rows in _ROWS.items():
        frame = frame.replace(f"@{vectors}@", str(rows))
    tiles = [_multiplied(rows, vectors) for vectors, rows in _ROWS.items()]
    return "".join([_ARITHMETIC.replace("@QUAD@", str(QUAD)), *tiles, frame])


QUADS = _source()
