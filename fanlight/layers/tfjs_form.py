"""Descriptions and names as TF.js writes and reads them.

TF.js has the words of Keras 2, fewer layers, and some other meanings: its hard_sigmoid is
clip(0.2 x + 0.5), its GRU resets before the product. What it would read wrongly is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fanlight.errors import FanlightError
from fanlight.layers import config, policy
from fanlight.layers.depths import depth_order
from fanlight.layers.describe import calls_of, node_places
from fanlight.layers.inputs import flat_dict
from fanlight.layers.layer import Layer
from fanlight.layers.model import Model, Sequential
from fanlight.layers.symbolic import Node, Symbolic, symbols
from fanlight.tensor.caller import caller

VERSION = "tfjs-layers 4.22.0"
KNOWN = frozenset(
    "InputLayer ReLU LeakyReLU PReLU ELU Softmax Conv1D Conv2D Conv3D Conv2DTranspose "
    "Conv3DTranspose SeparableConv2D Cropping2D UpSampling2D DepthwiseConv2D RNN SimpleRNNCell "
    "SimpleRNN GRUCell GRU LSTMCell LSTM StackedRNNCells ConvLSTM2DCell ConvLSTM2D Dropout "
    "SpatialDropout1D Dense Flatten Activation RepeatVector Reshape Permute Masking Embedding Add "
    "Multiply Average Maximum Minimum Concatenate Dot GaussianNoise GaussianDropout AlphaDropout "
    "BatchNormalization LayerNormalization ZeroPadding2D MaxPooling1D AveragePooling1D "
    "MaxPooling2D AveragePooling2D MaxPooling3D AveragePooling3D GlobalAveragePooling1D "
    "GlobalMaxPooling1D GlobalAveragePooling2D GlobalMaxPooling2D TimeDistributed Bidirectional "
    "Rescaling CenterCrop CategoryEncoding Resizing Functional Sequential".split()
)
_ACTIVATIONS = frozenset(
    "elu selu relu relu6 linear sigmoid hard_sigmoid softplus softsign tanh softmax log_softmax "
    "gelu gelu_new mish swish".split()
)
_ACTIVATION_NAMES = {"silu": "swish", "hard_sigmoid_2": "hard_sigmoid"}
_INITIALIZERS = {
    name: name
    for name in "Zeros Ones Constant RandomUniform RandomNormal TruncatedNormal Identity "
    "VarianceScaling GlorotUniform GlorotNormal HeNormal HeUniform Orthogonal".split()
} | {"LecunNormal": "LeCunNormal", "LecunUniform": "LeCunUniform"}
_CONSTRAINTS = ("MaxNorm", "UnitNorm", "NonNeg", "MinMaxNorm")
# Arguments that TF.js does not have, and the values at which that makes no difference.
_WITHOUT: dict[str, dict[str, tuple[Any, ...]]] = {
    "ELU": {"alpha": (1, 1.0)},
    "ReLU": {"negative_slope": (0, 0.0, None), "threshold": (0, 0.0, None)},
    "LayerNormalization": {"rms_scaling": (False,)},
    "Conv1D": {"groups": (1,)},
    "Conv2D": {"groups": (1,)},
    "Conv3D": {"groups": (1,)},
    "Conv2DTranspose": {"output_padding": (None,), "dilation_rate": (1, [1, 1])},
    "Conv3DTranspose": {"output_padding": (None,), "dilation_rate": (1, [1, 1, 1])},
    "GlobalAveragePooling1D": {"keepdims": (False,)},
    "GlobalAveragePooling2D": {"keepdims": (False,)},
    "GlobalMaxPooling1D": {"keepdims": (False,)},
    "GlobalMaxPooling2D": {"keepdims": (False,)},
    "ConvLSTM2D": {"unroll": (False, True), "zero_output_for_mask": (False,)},
    "GRU": {"reset_after": (False,)},
    "GRUCell": {"reset_after": (False,)},
    "UpSampling2D": {"interpolation": ("nearest",)},  # bilinear: another sampling than Keras's
    "Resizing": {
        "crop_to_aspect_ratio": (False,),
        "pad_to_aspect_ratio": (False,),
        "interpolation": ("bilinear", "nearest"),
    },
}
_DROPPED = ("module", "registered_name", "build_config", "quantization_config")
_WEIGHTS = {"DepthwiseConv2D": {"kernel": "depthwise_kernel"}}


class Form:
    """The description of a model for TF.js; all that it cannot have is listed in `wrong`."""

    def __init__(self) -> None:
        self.wrong: list[str] = []

    def topology(self, model: Model) -> dict[str, Any]:
        """modelTopology.

        Raises:
            FanlightError: E-LAYER-009 with everything that TF.js cannot read.
        """
        made = self.model(model)
        wrong = list(dict.fromkeys(self.wrong))
        if wrong:
            raise FanlightError(
                "E-LAYER-009",
                "TF.js cannot have some of the layers of this model.",
                where=f"{model.name}, {caller()}",
                expected="layers and arguments of tfjs-layers 4.22",
                received="; ".join(wrong[:30]) + ("; ..." if len(wrong) > 30 else ""),
                next='fl.convert(model, folder, to="tfjs-graph") writes it for TF.js without '
                'layers (--to tfjs-graph); model.save("model.keras") has all of them; fl.build '
                "makes a page of any model.",
            )
        return {**made, "keras_version": VERSION, "backend": "tensor_flow.js"}

    # --- models

    def model(self, model: Model) -> dict[str, Any]:
        if isinstance(model, Sequential):
            begin = [model._begin] if model._begin is not None else []
            layers = [self.layer(x) for x in (*begin, *model._row)]
            return {"class_name": "Sequential", "config": {"name": model.name, "layers": layers}}
        if not model.functional:
            self.wrong.append(f"{model.name}: a model of a class of your own")
            return {}
        places = node_places(model)

        def ref(symbol: Symbolic) -> list[Any]:
            layer, place = symbol.node.layer, places[id(symbol.node)]
            # In TF.js a Sequential that knows its input was called with it first, too.
            begun = isinstance(layer, Sequential) and layer._begin is not None
            return [layer.name, place + begun, symbol.index]

        entries = []
        for layer in depth_order(model):
            entry = {"name": layer.name, **self.layer(layer)}
            entry["inbound_nodes"] = [self.node(n, ref) for n in calls_of(model, layer)]
            entries.append(entry)
        own = {
            "name": model.name,
            "layers": entries,
            "input_layers": [ref(s) for s in model.inputs],
            "output_layers": [ref(s) for s in model.outputs],
        }
        if flat_dict(model.outputs_form):  # TF.js has lists alone, and leaves this out of account
            own["output_names"] = model.output_names
        return {"class_name": "Functional", "config": own}

    def node(self, node: Node, ref: Any) -> list[Any]:
        """One call: its tensors, the first with the other arguments."""
        tensors = symbols(node.args)
        options = {k: v for k, v in node.options.items() if v is not None}
        if "initial_state" in options and hasattr(node.layer, "cell"):
            tensors += symbols(options.pop("initial_state"))
        several = len(node.args) > 1 or symbols(options)
        if several or any(not isinstance(v, bool) for v in options.values()):
            self.wrong.append(f"{node.layer.name}: called with several arguments")
            return []
        return [[*ref(s), options if i == 0 else {}] for i, s in enumerate(tensors)]

    # --- layers

    def layer(self, layer: Layer) -> dict[str, Any]:
        """Class and config of a layer."""
        if isinstance(layer, Model):
            return self.model(layer)
        return self.described(config.described(layer), layer.name)

    def described(self, description: Mapping[str, Any], label: str) -> dict[str, Any]:
        """A description of Keras 3 as one of TF.js."""
        kind = str(description.get("class_name"))
        own = dict(description.get("config") or {})
        label = f"{label} ({kind})"
        cell = own.get("cell")
        if kind == "RNN" and isinstance(cell, Mapping) and cell["class_name"] == "ConvLSTM2DCell":
            # RNN of TF.js takes one dim behind the steps: its layer of this cell takes three.
            kind, own = "ConvLSTM2D", {**cell["config"], **own}
            del own["cell"]
        if kind not in KNOWN or description.get("registered_name"):
            self.wrong.append(f"{label}: no such layer")
            return {}
        if kind == "InputLayer":
            made = {"batch_input_shape": list(own["batch_shape"]), "dtype": _dtype(own["dtype"])}
            return {
                "class_name": kind,
                "config": {**made, "sparse": False, "name": own["name"]},
            }
        for key, values in _WITHOUT.get(kind, {}).items():
            if key in own and own.pop(key) not in values:
                self.wrong.append(f"{label}: {key} other than {values[0]}")
        if kind == "LeakyReLU" and "negative_slope" in own:
            own["alpha"] = own.pop("negative_slope")
        if kind == "Rescaling":
            if not all(isinstance(own.get(k), int | float) for k in ("scale", "offset")):
                self.wrong.append(f"{label}: a scale for every channel")
        if own.get("activity_regularizer") is not None:
            self.wrong.append(f"{label}: activity_regularizer")
        if "dtype" in own:
            own["dtype"] = _dtype(own["dtype"])
        made = {}
        for key, value in own.items():
            if key not in _DROPPED:
                made[key] = self.argument(key, value, label)
        if kind == "Bidirectional":
            made.pop("backward_layer", None)
            inner = made.get("layer")
            if isinstance(inner, dict) and "config" in inner:
                inner["config"]["name"] = _base(inner["config"]["name"])
        return {"class_name": kind, "config": made}

    def argument(self, key: str, value: Any, label: str) -> Any:
        """An argument of a layer in the words of TF.js."""
        if key in ("activation", "recurrent_activation"):
            return self.activation(value, label)
        if isinstance(value, list):
            return [self.argument("", v, label) for v in value]
        if not isinstance(value, Mapping) or "class_name" not in value:
            return value
        kind, own = str(value["class_name"]), dict(value.get("config") or {})
        if key.endswith("_initializer"):
            if kind not in _INITIALIZERS:
                self.wrong.append(f"{label}: the initializer {kind}")
            if own.get("distribution") in ("truncated_normal", "untruncated_normal"):
                own["distribution"] = "normal"
            own = {k: v for k, v in own.items() if k not in ("input_axes", "output_axes")}
            return {"class_name": _INITIALIZERS.get(kind, kind), "config": own}
        if key.endswith("_regularizer"):
            if kind not in ("L1", "L2", "L1L2"):
                self.wrong.append(f"{label}: the regularizer {kind}")
            sizes = {"l1": own.get("l1") or 0.0, "l2": own.get("l2") or 0.0}
            return {"class_name": "L1L2", "config": sizes}
        if key.endswith("_constraint"):
            if kind not in _CONSTRAINTS:
                self.wrong.append(f"{label}: the constraint {kind}")
            return {"class_name": kind, "config": own}
        return self.described(value, label)

    def activation(self, value: Any, label: str) -> Any:
        name = value if isinstance(value, str) else "one of your own"
        if name == "hard_sigmoid":
            self.wrong.append(f"{label}: hard_sigmoid of Keras 3 (that of TF.js is hard_sigmoid_2)")
        name = _ACTIVATION_NAMES.get(name, name)
        if name not in _ACTIVATIONS:
            self.wrong.append(f"{label}: the activation {name}")
        return name


def _dtype(given: Any) -> str:
    """The dtype of a layer: TF.js has no policies, and float32 for all of floating point."""
    name = policy.get(given).computed
    return name if name in ("bool", "int32", "string") else "float32"


def _base(name: str) -> str:
    """The name of the layer that a bidirectional one was made of; TF.js prefixes it again."""
    return name.removeprefix("forward_")


# --- weights --------------------------------------------------------------------------------------


def tfjs_weights(layer: Layer, prefix: str = "") -> list[tuple[str, Any]]:
    """The weights of a layer by the names that TF.js has for them."""
    if isinstance(layer, Sequential):
        return [pair for child in layer.layers for pair in tfjs_weights(child)]
    if isinstance(layer, Model):
        return [pair for child in depth_order(layer) for pair in tfjs_weights(child)]
    name = prefix or layer.name
    kind = type(layer).__name__
    if kind == "Bidirectional":
        inner = _base(layer.forward_layer.name)  # type: ignore[attr-defined]
        return [
            *tfjs_weights(layer.forward_layer, f"{name}/forward_{inner}"),  # type: ignore[attr-defined]
            *tfjs_weights(layer.backward_layer, f"{name}/backward_{inner}"),  # type: ignore[attr-defined]
        ]
    if kind == "TimeDistributed":
        inner_layer: Any = layer.layer  # type: ignore[attr-defined]
        if isinstance(inner_layer, Model):
            return tfjs_weights(inner_layer)
        return tfjs_weights(inner_layer, name)
    cells = getattr(getattr(layer, "cell", None), "cells", None)
    if cells is not None:
        return [p for i, c in enumerate(cells) for p in tfjs_weights(c, f"{name}/RNNCell_{i}")]
    weights = layer.weights
    words = _WEIGHTS.get(kind, {})
    return [(f"{name}/{words.get(w.name, w.name)}", w) for w in weights]
