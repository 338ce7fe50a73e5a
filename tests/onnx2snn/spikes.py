"""Spikes of every site at every step: of the runtime, and of an exported model."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch

import onnx2snn
from onnx2snn.ops.dynamics import Block, Firing, Scan, fire_ternary, scan
from onnx2snn.runtime.execute import Executor
from onnx2snn.runtime.plan import SiteStep
from onnx2snn.runtime.signals import Signals
from onnx2snn.runtime.state import State

Array = np.ndarray[Any, Any]
Arrays = dict[str, Array]


class _Watched(Executor):
    """An executor that notes the spikes of the site at work; `notes` by the site's name."""

    notes: dict[str, list[Array]]

    def _advance_site(self, index: int, step: SiteStep, state: State, signals: Signals) -> None:
        row = self.notes.setdefault(step.site.name, [])
        before = len(row)
        object.__setattr__(self, "current", row)
        super()._advance_site(index, step, state, signals)
        if len(row) == before:
            row.append(np.zeros(tuple(state.shapes[step.site.output]), np.int8))


def _watching(watched: _Watched) -> Scan:
    def watched_scan(*site: Any) -> Block:
        *rest, fire = site

        def noted(estimate: torch.Tensor, target: torch.Tensor, step_size: torch.Tensor) -> Firing:
            firing: Firing = fire(estimate, target, step_size)
            spikes = firing.spikes.to(torch.int8)
            if fire is fire_ternary:
                spikes = spikes * (estimate - target).sign().to(torch.int8)
            watched.current.append(spikes.numpy().copy())  # type: ignore[attr-defined]
            return firing

        return scan(*rest, noted)

    return watched_scan


def of_runtime(model: onnx.ModelProto, feed: Arrays, precision: str, steps: int | None = None):
    """Outputs by name, and spikes [T, ...] by site."""
    session = onnx2snn.SpikingSession(
        model, device="cpu", precision=precision, block=1, compile=False
    )
    plain = session._runner.executor
    watched = _Watched(**{f.name: getattr(plain, f.name) for f in fields(plain)})
    object.__setattr__(watched, "notes", {})
    object.__setattr__(watched, "scan", _watching(watched))
    session._runner.executor = watched
    outputs = session.run(None, feed, time_steps=steps)
    names = [info.name for info in session.get_outputs()]
    spikes = {site: np.stack(row) for site, row in watched.notes.items()}
    return dict(zip(names, outputs, strict=True)), spikes


def answers(model: onnx.ModelProto, feed: Arrays) -> Arrays:
    """All outputs of a model in stock onnxruntime, by name."""
    onnx.checker.check_model(model, full_check=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    wanted = {info.name for info in session.get_inputs()}
    results = session.run(names, {k: v for k, v in feed.items() if k in wanted})
    return dict(zip(names, results, strict=True))


def of_loop(model: onnx.ModelProto, feed: Arrays, precision: str, steps: int | None = None):
    """Outputs by name, and spikes [T, ...] by site, of the exported loop."""
    loop = onnx2snn.export(model, "onnx-loop", precision=precision, time_steps=steps, spikes=True)
    assert {node.domain for node in loop.graph.node} <= {"", "com.microsoft"}
    results = answers(loop, feed)
    spikes = {n.removesuffix(".spikes"): a for n, a in results.items() if n.endswith(".spikes")}
    return {n: a for n, a in results.items() if not n.endswith(".spikes")}, spikes


def mismatches(found: Arrays, expected: Arrays) -> tuple[int, int]:
    """Spikes that differ, and spikes compared."""
    assert found.keys() == expected.keys()
    for site, spikes in expected.items():
        assert found[site].shape == spikes.shape and found[site].dtype == np.int8
    differing = sum(int((found[site] != spikes).sum()) for site, spikes in expected.items())
    return differing, sum(spikes.size for spikes in expected.values())


def of_steps(model: onnx.ModelProto, feed: Arrays, precision: str, steps: int):
    """Outputs by name after every step, and spikes [T, ...] by site, of the step model."""
    options = {"precision": precision, "spikes": True}
    init, step = (onnx2snn.export(model, kind, **options) for kind in ("onnx-init", "onnx-step"))
    session = onnxruntime.InferenceSession(
        step.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    wanted = [info.name for info in session.get_inputs()]
    onnx.checker.check_model(step, full_check=True)
    carried = {**feed, **answers(init, feed)}
    rows = []
    for t in range(steps):
        given = {**carried, "time_step": np.array(t)}
        row = dict(zip(names, session.run(names, {n: given[n] for n in wanted}), strict=True))
        states = [name for name in wanted if name.endswith(".state")]
        carried.update({name: row[name.removesuffix(".state") + ".next"] for name in states})
        rows.append(row)
    stacked = {name: np.stack([row[name] for row in rows]) for name in names}
    spikes = {n.removesuffix(".spikes"): a for n, a in stacked.items() if n.endswith(".spikes")}
    return {n: a for n, a in stacked.items() if not n.endswith((".spikes", ".next"))}, spikes
