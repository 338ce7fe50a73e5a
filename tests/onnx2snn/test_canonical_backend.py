"""Every model of onnx's own operator tests keeps its meaning, or is refused with a reason."""

import contextlib
import warnings

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx.backend.test.case.node import collect_testcases

from onnx2snn.canonical import canonicalise
from onnx2snn.ops.errors import ModelError
from onnx2snn.runtime.loading import load_model

ort.set_default_logger_severity(4)


def outputs(model: onnx.ModelProto, arrays: list[np.ndarray]) -> list[np.ndarray]:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [value.name for value in model.graph.input]
    return session.run(None, dict(zip(names, arrays, strict=False)))


def load(tensor: np.ndarray | onnx.TensorProto) -> np.ndarray:
    if isinstance(tensor, onnx.TensorProto):
        return onnx.numpy_helper.to_array(tensor)
    return np.asarray(tensor, dtype=object if isinstance(tensor, list) else None)


def same(wanted: np.ndarray, given: np.ndarray) -> bool:
    wanted, given = np.asarray(wanted), np.asarray(given)
    tolerance = 1e-3 if given.dtype == np.float16 else 1e-4
    if wanted.dtype.kind not in "fiub":
        return wanted.shape == given.shape
    return wanted.shape == given.shape and np.allclose(
        wanted.astype("f8"), given.astype("f8"), atol=tolerance, equal_nan=True
    )


@pytest.mark.slow
def test_every_operator_test_keeps_its_meaning(tmp_path):
    path = tmp_path / "model.onnx"
    compared, differing = 0, []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = collect_testcases(None)
    for case in cases:
        path.write_bytes(case.model.SerializeToString())
        canonical = None
        with contextlib.suppress(ModelError):
            canonical = canonicalise(load_model(path))
        if canonical is None:
            continue
        arrays = case.data_sets[0][0]
        try:
            wanted = outputs(case.model, arrays)
        except Exception:
            continue
        compared += 1
        found = outputs(canonical, arrays)
        # Where onnxruntime strays from the standard's own result, the canonical form need not.
        stated = [load(tensor) for tensor in case.data_sets[0][1]]
        # Texts beside other outputs are left out.
        names = {value.name for value in canonical.graph.output}
        kept = [i for i, value in enumerate(case.model.graph.output) if value.name in names]
        wanted, stated = [wanted[i] for i in kept], [stated[i] for i in kept]
        if not (all(map(same, wanted, found)) or all(map(same, stated, found))):
            differing.append(case.name)
    assert not differing
    assert compared > 1000
