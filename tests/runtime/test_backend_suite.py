"""The runtime as an executor of ordinary ONNX: the node tests that ONNX itself ships."""

from __future__ import annotations

import warnings
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import onnx
from backend_failures import FAILURES
from numpy.typing import NDArray
from onnx import numpy_helper
from onnx.backend.test.loader import load_model_tests

import onnx2snn

MOST_PASSED_BY_A_PEER = 1416


def _array(value: Any) -> NDArray[Any]:
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    return np.asarray(value)


def _equal(given: NDArray[Any], wanted: NDArray[Any], case: Any) -> bool:
    if (given.shape, given.dtype) != (wanted.shape, wanted.dtype):
        return False
    wide = [np.asarray(a).astype(np.float64) for a in (given, wanted)]
    return np.allclose(*wide, rtol=case.rtol, atol=max(case.atol, 1e-5), equal_nan=True)


def _passes(case: Any) -> bool:
    try:
        session = onnx2snn.SpikingSession(case.model, device="cpu")
        names = [value.name for value in case.model.graph.input]
        for inputs, outputs in case.data_sets:
            results = session.run(None, dict(zip(names, map(_array, inputs), strict=False)))
            wanted = list(map(_array, outputs))
            if len(results) != len(wanted) or not all(
                _equal(*pair, case) for pair in zip(results, wanted, strict=True)
            ):
                return False
    except Exception:
        return False
    return True


def test_node_suite() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = load_model_tests(kind="node")
        failed = {case.name.removeprefix("test_") for case in cases if not _passes(case)}
    patterns = [pattern for group in FAILURES.values() for pattern in group]
    unlisted = {n for n in failed if not any(fnmatchcase(n, p) for p in patterns)}
    assert not unlisted
    idle = {p for p in patterns if not any(fnmatchcase(n, p) for n in failed)}
    assert not idle
    assert len(cases) - len(failed) > MOST_PASSED_BY_A_PEER
