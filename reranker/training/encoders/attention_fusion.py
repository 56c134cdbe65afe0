"""Rewrite a query tower for ONNX Runtime's own operators: a query takes a quarter less time.

torch exports the attention of a layer as some 40 small operations, most of which compute shapes and masks. A
query has few tokens, so that their overhead is a good part of its time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper

_MICROSOFT = "com.microsoft"
_MASK = "key_mask"


def fuse_attention(model: ModelProto, heads: int, mask: str = "attention_mask") -> int:
    """Replace every attention of a BERT-like model by one operator, in place; return how many there were.

    `heads` is its number of attention heads, `mask` its input that is 1 where there is a token (B, T). An
    attention that is written in another way stays as it is.
    """
    graph = model.graph
    attentions = list(_find_attentions(_Graph(graph)))
    if not attentions:
        return 0
    mask_node = helper.make_node("Cast", [mask], [_MASK], to=TensorProto.INT32)
    fused = {
        part.output: helper.make_node(
            "MultiHeadAttention",
            [part.query, part.key, part.value, "", _MASK],
            [part.output],
            domain=_MICROSOFT,
            num_heads=heads,
        )
        for part in attentions
    }
    nodes = [mask_node, *(fused.get(node.output[0], node) for node in graph.node)]
    _replace_nodes(graph, nodes)
    if _MICROSOFT not in {opset.domain for opset in model.opset_import}:
        model.opset_import.append(helper.make_opsetid(_MICROSOFT, 1))
    return len(attentions)


def fold_biases(model: ModelProto) -> None:
    """Make each bias that is added to a MatMulNBits an input of it, in place."""
    graph = model.graph
    view = _Graph(graph)
    vectors = {i.name for i in graph.initializer if len(i.dims) == 1}
    nodes = []
    for node in graph.node:
        product = next((p for p in view.parents(node) if p.op_type == "MatMulNBits"), None)
        bias = next((name for name in node.input if name in vectors), None)
        if (
            node.op_type == "Add"
            and product is not None
            and bias is not None
            and len(product.input) == 3
            and view.uses[product.output[0]] == 1
        ):
            folded = NodeProto()
            folded.CopyFrom(product)
            folded.input.extend(["", "", bias])
            folded.output[0] = node.output[0]
            nodes.append(folded)
        else:
            nodes.append(node)
    _replace_nodes(graph, nodes)


@dataclass(frozen=True, slots=True)
class _Attention:
    """The names of what goes in, each (B, T, d), and of what comes out."""

    query: str
    key: str
    value: str
    output: str


class _Graph:
    """Who made a tensor and who reads it."""

    def __init__(self, graph: GraphProto) -> None:
        self._graph = graph
        self.maker = {name: node for node in graph.node for name in node.output}

    @cached_property
    def uses(self) -> dict[str, int]:
        """How often each tensor is read."""
        counts = {output.name: 1 for output in self._graph.output}
        for node in self._graph.node:
            for name in node.input:
                counts[name] = counts.get(name, 0) + 1
        return counts

    def parents(self, node: NodeProto) -> list[NodeProto]:
        """The nodes that a node reads from."""
        return [self.maker[name] for name in node.input if name in self.maker]

    def children(self, node: NodeProto, *kinds: str) -> list[NodeProto]:
        """The nodes of some kinds that read a node's first output."""
        readers = (other for other in self._graph.node if node.output[0] in other.input)
        return [other for other in readers if other.op_type in kinds]

    def climb(self, node: NodeProto, *kinds: str) -> NodeProto | None:
        """Return the node that is reached by first inputs through nodes of these kinds, one after another."""
        for kind in kinds:
            if node.op_type != kind:
                return None
            parent = self.maker.get(node.input[0])
            if parent is None:
                return None
            node = parent
        return node


def _find_attentions(graph: _Graph) -> Iterator[_Attention]:
    for softmax in [node for node in graph.maker.values() if node.op_type == "Softmax"]:
        scores = graph.climb(softmax, "Softmax", "Add")
        if scores is None or scores.op_type != "MatMul":
            continue
        split = [_find_states(graph, name) for name in scores.input]
        after = _descend(graph, softmax)
        if after is None or None in split:
            continue
        value, output = after
        states = _find_states(graph, value)
        if states is not None and split[0] is not None and split[1] is not None:
            yield _Attention(split[0], split[1], states, output)


def _find_states(graph: _Graph, name: str) -> str | None:
    """Return the states (B, T, d) that a tensor of heads was split off, scaled or not."""
    node = graph.maker.get(name)
    while node is not None and node.op_type in ("Mul", "Div", "Transpose"):
        node = graph.maker.get(node.input[0])
    return node.input[0] if node is not None and node.op_type == "Reshape" else None


def _descend(graph: _Graph, softmax: NodeProto) -> tuple[str, str] | None:
    """Return the values that a softmax weighs, and the states (B, T, d) that are made of them."""
    node = softmax
    # What is not a number, where a row has no token at all, becomes 0 first.
    while guards := graph.children(node, "Where"):
        node = guards[0]
    products = graph.children(node, "MatMul")
    if not products:
        return None
    node = products[0]
    while moved := graph.children(node, "Reshape", "Transpose"):
        node = moved[0]
    return (products[0].input[1], node.output[0]) if node.op_type == "Reshape" else None


def _replace_nodes(graph: GraphProto, nodes: list[NodeProto]) -> None:
    """Set a graph's nodes and drop those, and the constants, that nothing reads any more."""
    needed = {output.name for output in graph.output}
    needed_nodes: list[NodeProto] = []
    for node in reversed(nodes):
        if needed.intersection(node.output):
            needed.update(node.input)
            needed_nodes.append(node)
    constants = [constant for constant in graph.initializer if constant.name in needed]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(needed_nodes))
    graph.initializer.extend(constants)
