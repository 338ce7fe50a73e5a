"""The runtime as an executor of ordinary ONNX: the node tests that ONNX itself ships.

python -m benchmarks.conformance

Every node runs by PyTorch or by the one-node fallback. What fails is listed by reason in
`conformance_failures.py`; a test holds the two together.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from onnx.backend.test.loader import load_model_tests

import onnx2snn
from benchmarks.conformance_failures import FAILURES
from benchmarks.results import write

LEAST_TOLERANCE = 1e-5


def cases() -> list[Any]:
    """All node tests."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return list(load_model_tests(kind="node"))


def failures(tests: Iterable[Any]) -> set[str]:
    """Names of those that do not pass."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {case.name.removeprefix("test_") for case in tests if not _passes(case)}


def by_reason(names: Iterable[str]) -> dict[str, list[str]]:
    """The names under the first reason whose patterns they match; "" where there is none."""
    table: dict[str, list[str]] = {}
    for name in sorted(names):
        reasons = (r for r, group in FAILURES.items() if any(fnmatchcase(name, p) for p in group))
        table.setdefault(next(reasons, ""), []).append(name)
    return table


def _array(value: Any) -> NDArray[Any]:
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    return np.asarray(value)


def _equal(given: NDArray[Any], wanted: NDArray[Any], case: Any) -> bool:
    if (given.shape, given.dtype) != (wanted.shape, wanted.dtype):
        return False
    first, second = (np.asarray(a).astype(np.float64) for a in (given, wanted))
    tolerance = max(case.atol, LEAST_TOLERANCE)
    return np.allclose(first, second, rtol=case.rtol, atol=tolerance, equal_nan=True)


def _passes(case: Any) -> bool:
    try:
        session = onnx2snn.SpikingSession(case.model, device="cpu")
        names = [value.name for value in case.model.graph.input]
        for inputs, outputs in case.data_sets:
            results = session.run(None, dict(zip(names, map(_array, inputs), strict=False)))
            wanted = [_array(value) for value in outputs]
            if len(results) != len(wanted) or not all(
                _equal(*pair, case) for pair in zip(results, wanted, strict=True)
            ):
                return False
    except Exception:  # whatever it is, the case does not pass
        return False
    return True


def main() -> None:
    """Count, and write benchmarks/results/conformance.json."""
    tests = cases()
    failed = failures(tests)
    row = {
        "cases": len(tests),
        "passed": len(tests) - len(failed),
        "failed": {reason: len(names) for reason, names in by_reason(failed).items()},
    }
    print(row)
    write("conformance", "python -m benchmarks.conformance", [row])


if __name__ == "__main__":
    main()
