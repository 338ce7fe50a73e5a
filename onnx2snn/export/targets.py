"""The function of a site as standard ONNX nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from onnx2snn.export.text import write_nodes, write_text
from onnx2snn.export.writer import Writer
from onnx2snn.ops import BY_OP_TYPE
from onnx2snn.ops.errors import ModelError, Onnx2SnnError
from onnx2snn.ops.operator import PASSING
from onnx2snn.ops.passing import write_linear_part
from onnx2snn.ops.schema import body_nodes
from onnx2snn.ops.target import Remainder
from onnx2snn.runtime.plan import SiteStep

Value = Callable[[str], str]


def write_target(writer: Writer, step: SiteStep, currents: Sequence[str], constant: Value) -> str:
    """Emit f(x_1, .., x_k) of a site; the name of its value.

    constant: what a tensor that does not vary is called in the exported graph.

    Where the target has no body, the site must be all that its node consists of: then the
    operator's own body is f, and operands that are no currents are constants of the file.
    """
    target, site = step.site.target, step.site
    try:
        if target.remainder is not None:
            return _write_remainder(writer, step, target.remainder, currents, constant)
        if target.body:
            return write_text(writer, target.body, currents, target.constants, site.name)
        return _write_whole(writer, step, currents, constant)
    except Onnx2SnnError as error:
        raise ModelError(
            f"site '{site.name}': {error}; convert with --exclude {step.source.name}, or run the "
            "spiking file with `onnx2snn run`"
        ) from error


def _write_remainder(
    writer: Writer,
    step: SiteStep,
    remainder: Remainder,
    currents: Sequence[str],
    constant: Value,
) -> str:
    """f(x) - c l(x)."""
    attributes = {k: v for k, v in step.source.attributes.items() if k != PASSING}
    source = replace(step.source, attributes=attributes)
    site = replace(step.site, target=remainder.whole)
    whole = write_target(writer, replace(step, site=site, source=source), currents, constant)
    part = write_linear_part(
        remainder.whole, currents[0], lambda axes: writer.constant(list(axes)), writer.call
    )
    share = writer.call("Mul", part, writer.constant(remainder.slope))
    return writer.call("Sub", whole, share, hint=f"{step.site.name}.d")


def _write_whole(writer: Writer, step: SiteStep, currents: Sequence[str], constant: Value) -> str:
    operator = BY_OP_TYPE[step.source.op_type]
    if len(operator.lower(step.source).steps) > 1:
        raise ModelError(f"its function '{step.site.target.name}' has no ONNX form")
    renamed = dict(zip(step.site.operands, currents, strict=True))
    given = step.source.inputs[: len(operator.operands)]
    names = dict.fromkeys(operator.operands, "")
    for operand, name in zip(operator.operands, given, strict=False):
        names[operand] = renamed.get(name) or constant(name)
    attributes = operator.complete(step.source.attributes)
    return write_nodes(writer, body_nodes(operator), names, attributes, step.site.name)
