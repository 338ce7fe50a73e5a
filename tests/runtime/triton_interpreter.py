"""Runs generated Triton kernels in Triton's interpreter against the reference dynamics.

A script, since the interpreter is chosen when Triton is first imported.
"""

import test_fused_rows
import test_fused_windows
import torch
from test_fused import case

from onnx2snn.ops import extremum, gelu, layer_normalization, relu, softmax, softplus, tanh
from onnx2snn.ops.dynamics import ALPHABETS, scan
from onnx2snn.runtime.fused.kernel import Charge
from onnx2snn.runtime.fused.triton_kernel import triton_kernel

for target in (
    relu.relu(),
    gelu.gelu("none"),
    tanh.tanh(),
    softplus.softplus(),
    extremum.largest(3, 0.0),
    layer_normalization.quotient(1e-5),
    softmax.share(),
):
    for alphabet in ALPHABETS:
        neurons, steps = 700, 3
        data = case(target, neurons, steps, 20, 28)
        kernel = triton_kernel(target, alphabet)
        assert kernel is not None, target.name
        currents = torch.cumsum(torch.cat([data["x"][:, None], data["dx"]], 1), 1)[:, 1:]
        eta, theta = (data[k].repeat(1, neurons // data[k].shape[1]) for k in ("eta", "theta"))
        block = scan(data["v"], list(currents), eta, theta, target, ALPHABETS[alphabet])
        v, dv, ends = data["v"].clone(), torch.empty(steps, neurons), data["x"].clone()
        charges = [
            Charge(x, 1, d.contiguous(), 0, x) for x, d in zip(ends, data["dx"], strict=True)
        ]
        spikes = kernel(charges, v, data["eta"], data["theta"], (0, steps), dv)
        differing = (dv - block.increments).abs().amax(0) > 1e-6
        assert differing.float().mean() < 3e-3, (target.name, alphabet)
        assert abs(int(spikes) - int(block.spikes.sum())) <= steps * int(differing.sum())
        torch.testing.assert_close(ends, currents[:, -1], rtol=1e-5, atol=1e-5)

for alphabet in ALPHABETS:
    for moving in (True, False):
        kernel = triton_kernel(test_fused_windows.TARGET, alphabet)
        assert kernel is not None, "windows"
        test_fused_windows.check(kernel, alphabet, moving)

for target in test_fused_rows.TARGETS:
    for alphabet in ALPHABETS:
        kernel = triton_kernel(target, alphabet)
        assert kernel is not None, target.name
        for shape in ((3, 2, 5), (7, 9, 24)):
            test_fused_rows.check(kernel, target, alphabet, shape)
