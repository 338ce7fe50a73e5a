"""Prints what was compared, also of tests that ran in other processes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator
from dataclasses import astuple

import pytest
from measured import Tally, take

LABEL = "fidelity"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    take()
    result = yield
    item.user_properties += [(LABEL, (name, *astuple(tally))) for name, tally in take().items()]
    return result


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    totals: defaultdict[str, Tally] = defaultdict(Tally)
    for report in terminalreporter.getreports("passed"):
        for label, value in report.user_properties:
            if label == LABEL:
                name, *rest = value
                totals[name].add(Tally(*rest))
    if totals:
        terminalreporter.section("fidelity: what was compared")
    for name, tally in sorted(totals.items()):
        figures = f"{tally.compared:,} compared, {tally.different} differ"
        terminalreporter.line(f"{name}: {figures}, largest difference {tally.largest:.1e}")
