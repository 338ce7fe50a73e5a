"""What integrate-and-fire neurons can compute: ReLU, and nothing else."""

from __future__ import annotations

from onnx2snn.ops import BY_OP_TYPE, DOMAIN
from onnx2snn.ops.errors import ModelError
from onnx2snn.runtime.graph import Graph

MOST_NAMED = 5


def check_integrating(graph: Graph) -> None:
    """Raise ModelError, naming them, where other nodes than ReLU would need neurons.

    An IF neuron's rate is ReLU1 of its input. Maxima, products of signals and normalizations
    are none, and rates of spikes do not commute with them.
    """
    spiking = [node for node in graph.nodes if node.domain == DOMAIN]
    others = [node for node in spiking if not BY_OP_TYPE[node.op_type].integrates]
    if not others:
        return
    shown = ", ".join(
        f"'{node.name}' ({BY_OP_TYPE[node.op_type].source})" for node in others[:MOST_NAMED]
    )
    more = f" and {len(others) - MOST_NAMED} more" if len(others) > MOST_NAMED else ""
    remedy = "convert with --dynamics signgd"
    if any("MaxPool" in node.op_type for node in others):
        remedy += ", or train the network with average instead of max pooling"
    raise ModelError(
        f"integrate-and-fire neurons compute ReLU only, but the model also has {shown}{more}; "
        + remedy
    )
