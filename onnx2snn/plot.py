"""A picture of one neuron over time, where matplotlib is installed."""

from __future__ import annotations

import io

from onnx2snn.ops.errors import UsageError
from onnx2snn.trace import Trace


def plot_trace(trace: Trace, form: str = "png") -> bytes:
    """Inputs and membrane above, target, estimate and spikes below, as an image file's bytes.

    Raises UsageError where matplotlib is missing.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UsageError(
            "a plot needs matplotlib (pip install onnx2snn[plot]); name a .csv file instead"
        ) from error
    columns = dict(zip(trace.header, zip(*trace.rows(), strict=True), strict=True))
    times = columns["time_step"]
    figure = Figure(figsize=(8, 6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    for name in columns:
        if name.startswith("input") or name == "membrane":
            above.step(times, columns[name], where="mid", label=name)
    below.step(times, columns["target"], where="mid", label=f"target {trace.target}")
    below.step(times, columns["estimate"], where="mid", label="estimate")
    fired = [t for t, s in zip(times, columns["spike"], strict=True) if s]
    values = dict(zip(times, columns["estimate"], strict=True))
    below.plot(fired, [values[t] for t in fired], "k|", label="spike")
    above.set_title(f"{trace.site} {list(trace.place)}")
    below.set_xlabel("time step")
    for axes in (above, below):
        axes.legend()
    image = io.BytesIO()
    figure.savefig(image, format=form)
    return image.getvalue()
