"""C source of how a site kernel reads its operands, chunk by chunk."""

from __future__ import annotations

from dataclasses import dataclass

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
