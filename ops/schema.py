"""ONNX schemas and function bodies of the spiking operators."""

from __future__ import annotations

from collections.abc import Iterable

from onnx import AttributeProto, FunctionProto, NodeProto, defs, helper, parser

from onnx2snn.ops.operator import DOMAIN, DOMAIN_VERSION, Attribute, SpikingOperator

BODY_OPSET = 20
# Sources that the standard lacks, or lacked for long, are nodes of this domain.
CANONICAL_DOMAIN = "onnx2snn.canonical"

_FLOATING = ["tensor(float)", "tensor(double)", "tensor(float16)", "tensor(bfloat16)"]
_SCHEMA_TYPES = {
    "int": defs.OpSchema.AttrType.INT,
    "float": defs.OpSchema.AttrType.FLOAT,
    "string": defs.OpSchema.AttrType.STRING,
    "ints": defs.OpSchema.AttrType.INTS,
}
_ATTRIBUTE_TYPES = {
    "int": AttributeProto.INT,
    "float": AttributeProto.FLOAT,
    "string": AttributeProto.STRING,
    "ints": AttributeProto.INTS,
}


def _schema_attribute(attribute: Attribute) -> defs.OpSchema.Attribute:
    if attribute.default is None:
        return defs.OpSchema.Attribute(
            attribute.name, _SCHEMA_TYPES[attribute.kind], "", required=False
        )
    default = helper.make_attribute(attribute.name, attribute.default)
    return defs.OpSchema.Attribute(attribute.name, default, "")


def schema(operator: SpikingOperator) -> defs.OpSchema:
    """The ONNX schema: source operands, then the parameters of every site."""
    formal, option = defs.OpSchema.FormalParameter, defs.OpSchema.FormalParameterOption
    required = len(operator.operands) - operator.optional
    inputs = [
        formal(name, "T", "", param_option=option.Single if i < required else option.Optional)
        for i, name in enumerate(operator.operands)
    ]
    parameters = formal(
        "parameters", "P", "", param_option=option.Variadic, is_homogeneous=False, min_arity=0
    )
    return defs.OpSchema(
        operator.op_type,
        DOMAIN,
        DOMAIN_VERSION,
        doc=f"Spiking neurons that approximate {operator.equation}.",
        inputs=[*inputs, parameters],
        outputs=[formal("Y", "T", "")],
        type_constraints=[("T", _FLOATING, ""), ("P", _FLOATING, "")],
        attributes=[_schema_attribute(a) for a in operator.all_attributes],
    )


def register_schemas(operators: Iterable[SpikingOperator]) -> None:
    """Make `onnx.checker` know the operators."""
    for operator in operators:
        if not defs.has(operator.op_type, DOMAIN):
            defs.register_schema(schema(operator))


def _source_node(operator: SpikingOperator) -> NodeProto:
    known = defs.get_schema(operator.source, BODY_OPSET, "").attributes
    node = helper.make_node(operator.source, list(operator.operands), ["Y"])
    for attribute in operator.attributes:
        if attribute.name in known:
            reference = AttributeProto()
            reference.name = reference.ref_attr_name = attribute.name
            reference.type = _ATTRIBUTE_TYPES[attribute.kind]
            node.attribute.append(reference)
    return node


def body_nodes(operator: SpikingOperator) -> Iterable[NodeProto]:
    """The operator's limit as nodes from its operands to Y, attributes by reference."""
    if not operator.body:
        return [_source_node(operator)]
    names = ", ".join(a.name for a in operator.attributes)
    text = f"""<domain: "{DOMAIN}", opset_import: ["" : {BODY_OPSET}]>
    {operator.op_type} {f"<{names}>" if names else ""}
    ({", ".join(operator.operands)}) => (Y) {{ {operator.body} }}"""
    return list(parser.parse_function(text).node)


def function_body(operator: SpikingOperator, parameters: int, opset: int) -> FunctionProto:
    """The operator's limit as a model-local function taking `parameters` site parameters.

    opset: version of the default domain that the model imports, at least `BODY_OPSET`.
    """
    inputs = [*operator.operands, *(f"parameter_{i}" for i in range(parameters))]
    return _function(operator, DOMAIN, operator.op_type, inputs, operator.all_attributes, opset)


def source_function(
    operator: SpikingOperator, opset: int, domain: str = CANONICAL_DOMAIN
) -> FunctionProto:
    """The source operator itself as a function of `domain`: the limit as its body."""
    operands = list(operator.operands)
    return _function(operator, domain, operator.source, operands, operator.attributes, opset)


def _function(
    operator: SpikingOperator,
    domain: str,
    name: str,
    inputs: list[str],
    attributes: Iterable[Attribute],
    opset: int,
) -> FunctionProto:
    known = tuple(attributes)
    defaults = [helper.make_attribute(a.name, a.default) for a in known if a.default is not None]
    return helper.make_function(
        domain,
        name,
        inputs,
        ["Y"],
        list(body_nodes(operator)),
        [helper.make_opsetid("", opset)],
        [a.name for a in known if a.default is None],
        defaults,
    )
