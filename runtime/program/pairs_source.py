"""C source of products of two matrices that both change over time, such as those of attention."""

PAIRS = r"""
#define BATCHES (DIMENSIONS - 2)
/* out = a b for each of several pairs of matrices, batch by batch; a has `rows` rows, b `columns`
   columns. Results lie row by row. Each part has room for `space` numbers, b in panels. */
struct pairs {
  int64_t size[BATCHES], outs[BATCHES], as[BATCHES], bs[BATCHES];
  int64_t rows, depth, columns, a_row, a_step, b_row, b_step;
  const float* a; const float* b; float* out; float* room; int64_t space;
};
/* The matrix b in panels of columns, zeros behind the last one; the number of panels. */
static int64_t in_panels(const struct pairs* p, const float* b, float* weights) {
  struct panel panel = {0, 0, 0};
  int64_t count = 0;
  for (; !panel.group; count++) {
    const int64_t line = width(p->columns, &panel) * LANES, left = p->columns - panel.column;
    const int64_t n = left < line ? left : line;
    const float* x = b + panel.column * p->b_step;
    if (n < line) memset(weights, 0, p->depth * line * 4);
    if (p->b_step == 1) FOR(k, p->depth) memcpy(weights + k * line, x + k * p->b_row, n * 4);
    else FOR(j, n) FOR(k, p->depth) weights[k * line + j] = x[j * p->b_step + k * p->b_row];
    weights += p->depth * line, panel.column += line;
    if (panel.column >= p->columns) panel.group = 1;
  }
  return count;
}
int64_t pairs(const struct pairs* p, int64_t part, int64_t parts) {
  const int64_t all = row_count(p->size), tap[] = {0, 0, p->depth};
  const struct product product = {
    .taps = 1, .depth = p->depth, .step = p->a_step, .groups = 1, .columns = p->columns};
  const struct lot lot = {.tap = tap, .taps = 1};
  float* weights = p->room + part * p->space;
  struct rows r = rows_from(p->size, all * part / parts, all * (part + 1) / parts);
  for (; r.left > 0; following(&r)) {
    const float* a = p->a + offset(&r, p->as);
    float* out = p->out + offset(&r, p->outs);
    int64_t count = in_panels(p, p->b + offset(&r, p->bs), weights), n;
    for (int64_t first = 0; first < p->rows; first += n) {
      struct row row[MOST + TALL];
      n = p->rows - first < MOST ? p->rows - first : MOST;
      FOR(k, n) row[k].at = a + (first + k) * p->a_row;
      FOR(k, n) row[k].to = out + (first + k) * p->columns;
      FOR(k, TALL - 1) row[n + k] = row[0];
      panels(&product, &lot, row, n, by_number, (struct panel){weights, 0, 0}, count);
    }
  }
  return 0;
}
"""
