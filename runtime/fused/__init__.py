"""Fused kernels: all K time steps of a site in one pass over memory.

`expression` traces a target function once; `c_source` and `triton_source` write kernels from
the trace; `sites` runs them in place of `ops.dynamics.scan`, which remains the reference.
"""
