"""What tests of whole networks measure."""

import warnings
from collections import Counter

from small_models import relative

import onnx2snn
from onnx2snn.calibration.ann import open_onnxruntime
from onnx2snn.inspection import inspect_model


def measured(model, feed, test, output=None):
    """The sites by operator, the relative error of the limit and that of the SNN."""
    assert inspect_model(model).counts["analog"] == 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        spiking = onnx2snn.convert(model, feed, time_steps=16, tuning=0)
    names = [output] if output else None
    wanted, limit = (open_onnxruntime(m).run(names, test)[0] for m in (model, spiking))
    (found,) = onnx2snn.SpikingSession(spiking, device="cpu").run(names, test)
    kinds = (n.op_type.removeprefix("Spiking") for n in spiking.graph.node if n.domain)
    return Counter(kinds), relative(limit, wanted), relative(found, wanted)
