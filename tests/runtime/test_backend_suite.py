"""The runtime as an executor of ordinary ONNX passes more node tests than any peer."""

from __future__ import annotations

from fnmatch import fnmatchcase

from benchmarks.conformance import by_reason, cases, failures
from benchmarks.conformance_failures import FAILURES

MOST_PASSED_BY_A_PEER = 1416


def test_node_suite() -> None:
    tests = cases()
    failed = failures(tests)
    assert not by_reason(failed).get("")
    patterns = [pattern for group in FAILURES.values() for pattern in group]
    assert not {p for p in patterns if not any(fnmatchcase(name, p) for name in failed)}
    assert len(tests) - len(failed) > MOST_PASSED_BY_A_PEER
