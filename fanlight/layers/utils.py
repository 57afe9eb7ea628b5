"""What Keras has in `keras.utils` and `keras.saving`: `fl.utils`.

Datasets of folders, of tables and of parts of others are `fl.data`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from collections.abc import Sequence as Row
from typing import TYPE_CHECKING, Any

import numpy as np

from fanlight.data.series import timeseries_dataset_from_array
from fanlight.layers import (
    activations,
    constraints,
    initializers,
    losses,
    metrics,
    optimizers,
    regularizers,
    schedules,
)
from fanlight.layers import config as configs
from fanlight.layers.describe import deserialize
from fanlight.layers.fit_arguments import unpacked
from fanlight.layers.image_files import (
    array_to_img,
    img_to_array,
    load_img,
    save_img,
    wrong,
)
from fanlight.layers.layer import Layer, clear_session
from fanlight.layers.plot import plot_model
from fanlight.layers.seeds import set_random_seed
from fanlight.layers.symbolic import Symbolic
from fanlight.tensor import Tensor, cast
from fanlight.tensor import functions as fn
from fanlight.tensor.names import DATASETS, elsewhere

__all__ = [
    "CustomObjectScope",
    "PyDataset",
    "Sequence",
    "array_to_img",
    "clear_session",
    "custom_object_scope",
    "deserialize_keras_object",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "get_source_inputs",
    "img_to_array",
    "is_keras_tensor",
    "load_img",
    "normalize",
    "pack_x_y_sample_weight",
    "pad_sequences",
    "plot_model",
    "register_keras_serializable",
    "save_img",
    "serialize_keras_object",
    "set_random_seed",
    "timeseries_dataset_from_array",
    "to_categorical",
    "unpack_x_y_sample_weight",
]


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)


_TOLD = {
    "FeatureSpace": "its layers by themselves: fl.layers.Normalization, fl.layers.StringLookup, "
    "fl.layers.HashedCrossing, fl.layers.Concatenate",
    "Progbar": "fit(..., verbose=1) shows it",
    "get_file": "nothing is downloaded",
    "model_to_dot": "fl.plot_model draws without Graphviz",
}
if not TYPE_CHECKING:  # a name that is not there is an error to mypy
    __getattr__ = elsewhere("fl.utils", DATASETS | _TOLD)

# --- arrays ---------------------------------------------------------------------------------------


def to_categorical(x: Any, num_classes: int | None = None) -> Any:
    """Class numbers as one-hot rows: [..., n] or [..., n, 1] -> [..., n, classes].

    Args:
        x: an array or list of whole numbers from 0 on, or a tensor.
        num_classes: how many there are; default: the greatest number and one more.

    Returns:
        float32: a tensor of a tensor, else an array.

    Raises:
        FanlightError: E-LAYER-004 numbers that are not of a class.
    """
    if isinstance(x, Tensor):
        numbers = fn.squeeze(x, -1) if x.rank > 1 and x.shape[-1] == 1 else x
        if num_classes is None:
            raise wrong("num_classes", "a whole number, for the classes of a tensor", None)
        return fn.one_hot(cast(numbers, "int32"), num_classes)
    given = np.asarray(x)
    if given.dtype.kind not in "iufb":
        raise wrong("x", "whole numbers from 0 on", x)
    whole = given.astype(np.int64)
    if whole.ndim > 1 and whole.shape[-1] == 1:
        whole = whole[..., 0]
    count = int(whole.max(initial=-1)) + 1 if not num_classes else int(num_classes)
    if whole.size and not 0 <= whole.min() <= whole.max() < count:
        received = f"numbers from {whole.min()} to {whole.max()}"
        raise wrong("x", f"class numbers from 0 to {count - 1}", received)
    made = np.zeros((*whole.shape, count), np.float32)
    np.put_along_axis(made, whole[..., None], 1.0, -1)
    return made


def normalize(x: Any, axis: int = -1, order: int | float = 2) -> Any:
    """x, divided by its lengths along an axis: by its `order`-norms; where that is 0, x."""
    if isinstance(x, Tensor):
        from fanlight.tensor.matrices import norm

        length = norm(x, order, axis, keepdims=True)
        return x / fn.where(fn.equal(length, 0.0), 1.0, length)
    given = np.asarray(x)
    given = given if given.dtype.kind == "f" else given.astype(np.float32)
    length = np.linalg.norm(given, order, axis, keepdims=True)
    return given / np.where(length == 0, 1, length)


def pad_sequences(
    sequences: Row[Any],
    maxlen: int | None = None,
    dtype: Any = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: Any = 0.0,
) -> np.ndarray:
    """Sequences of different lengths as the rows of one array.

    Args:
        maxlen: how long the rows are; default: as the longest one.
        padding: whether shorter ones are filled up in front ("pre") or behind ("post").
        truncating: on which side longer ones are cut.
        value: what fills them up.

    Raises:
        FanlightError: E-LAYER-004 what is not a list of sequences whose items have one shape.
    """
    for argument, side in (("padding", padding), ("truncating", truncating)):
        if side not in ("pre", "post"):
            raise wrong(argument, "pre or post", side)
    if not hasattr(sequences, "__len__") or any(not hasattr(s, "__len__") for s in sequences):
        raise wrong("sequences", "a list of sequences", sequences)
    longest = max((len(s) for s in sequences), default=0) if maxlen is None else int(maxlen)
    item = next((np.asarray(s).shape[1:] for s in sequences if len(s)), ())
    try:
        made = np.full((len(sequences), longest, *item), value, dtype)
    except (TypeError, ValueError) as error:
        raise wrong("value", f"what {dtype} can hold", f"{value!r}: {error}") from None
    for i, sequence in enumerate(sequences):
        part = sequence[-longest:] if truncating == "pre" else sequence[:longest]
        if not longest or not len(part):
            continue
        array = np.asarray(part, dtype)
        if array.shape[1:] != item:
            raise wrong("sequences", f"items of shape {item}", f"{array.shape[1:]} in row {i}")
        if padding == "post":
            made[i, : len(array)] = array
        else:
            made[i, -len(array) :] = array
    return made


def pack_x_y_sample_weight(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """x, (x, y) or (x, y, sample_weight), as a dataset gives them."""
    if y is None:
        return (x,) if isinstance(x, list | tuple) else x
    return (x, y) if sample_weight is None else (x, y, sample_weight)


def unpack_x_y_sample_weight(data: Any) -> tuple[Any, Any, Any]:
    """(x, y, sample_weight) of what a dataset gives; None for what is not there."""
    return unpacked("data", data)


class PyDataset:
    """Batches by their numbers, for `fit`, `evaluate` and `predict`.

    One of your own has `__len__`, the number of batches, and `__getitem__(i)`, which gives x,
    (x, y) or (x, y, sample_weight). They are asked for in order, in every epoch anew;
    `on_epoch_end` is the place to shuffle. `fl.data.Dataset` prefetches in threads.

    Args:
        workers, use_multiprocessing, max_queue_size: of Keras; batches are made one by one.
    """

    def __init__(
        self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10
    ) -> None:
        self.workers, self.use_multiprocessing = workers, use_multiprocessing
        self.max_queue_size = max_queue_size

    @property
    def num_batches(self) -> int:
        """How many batches there are."""
        return len(self)

    def __len__(self) -> int:
        raise configs.unwritten(self, "__len__")

    def __getitem__(self, index: int) -> Any:
        raise configs.unwritten(self, "__getitem__")

    def on_epoch_begin(self) -> None:
        """They are about to be asked for."""

    def on_epoch_end(self) -> None:
        """All of them were given."""

    def __iter__(self) -> Iterator[Any]:
        self.on_epoch_begin()
        for i in range(self.num_batches):
            yield self[i]
        self.on_epoch_end()


Sequence = PyDataset  # as Keras 2 has it


# --- names in files -------------------------------------------------------------------------------


class CustomObjectScope:
    """Lets files name classes and functions of yours, by the keys, inside of a `with`.

    Args:
        custom_objects: {"Swirl": Swirl}.
    """

    def __init__(self, custom_objects: Mapping[str, Any]) -> None:
        self.custom_objects = custom_objects
        self._inside: list[Any] = []

    def __enter__(self) -> CustomObjectScope:
        inside = configs.custom_objects(self.custom_objects)
        inside.__enter__()
        self._inside.append(inside)
        return self

    def __exit__(self, *error: Any) -> None:
        self._inside.pop().__exit__(*error)


custom_object_scope = CustomObjectScope


def register_keras_serializable(
    package: str = "Custom", name: str | None = None
) -> Callable[[Any], Any]:
    """Let files name a class or a function of yours: `fl.register` by Keras's name."""
    return configs.register(package, name)


def get_custom_objects() -> dict[str, Any]:
    """What was registered, by the names in files: the table itself, to which one may add."""
    return configs.all_registered()


def get_registered_name(obj: Any) -> str:
    """Under which name a class or function was registered; its own name if it was not."""
    return configs.registered_name(obj) or str(obj.__name__)


def get_registered_object(
    name: str,
    custom_objects: Mapping[str, Any] | None = None,
    module_objects: Mapping[str, Any] | None = None,
) -> Any:
    """What was registered under a name, or is in one of these tables; or None."""
    found = configs.scoped(name) or configs.all_registered().get(name)
    for table in (custom_objects, module_objects):
        found = found or (table or {}).get(name)
    return found


def serialize_keras_object(obj: Any) -> Any:
    """An object of a model, or a structure of some, as plain data: class names and arguments."""
    return configs.plain(obj)


def deserialize_keras_object(
    config: Any, custom_objects: Mapping[str, Any] | None = None, safe_mode: bool = True
) -> Any:
    """What `serialize_keras_object` described: a layer, a loss, an optimizer, ...

    Args:
        custom_objects: classes and functions of your own that it may name.
        safe_mode: as Keras has it; False changes nothing: no code of a description is ever run.

    Raises:
        FanlightError: E-LAYER-003, E-LAYER-008 what is not known; E-LAYER-004 arguments that do
            not fit.
    """
    with configs.custom_objects(custom_objects):
        return _deserialized(config)


# Whose names mean what, by the modules of Keras.
_ROOMS: dict[str, Any] = {
    "activations": activations,
    "constraints": constraints,
    "initializers": initializers,
    "losses": losses,
    "metrics": metrics,
    "optimizers": optimizers,
    "optimizers.schedules": schedules,
    "regularizers": regularizers,
}


def _deserialized(given: Any) -> Any:
    if isinstance(given, list | tuple):
        return type(given)(_deserialized(v) for v in given)
    if not isinstance(given, Mapping):
        return given
    if "class_name" not in given:
        return {k: _deserialized(v) for k, v in given.items()}
    module = str(given.get("module") or "").removeprefix("keras.")
    if module in _ROOMS:
        return _ROOMS[module].get(given)
    custom = configs.registered(str(given.get("registered_name") or given["class_name"]))
    if isinstance(custom, type) and not issubclass(custom, Layer):
        return configs.lookup("object", given, {})
    return deserialize(given)


# --- models ---------------------------------------------------------------------------------------


def is_keras_tensor(x: Any) -> bool:
    """Whether this is a stand-in: what `fl.Input` gives, or a layer that was called with one."""
    return isinstance(x, Symbolic)


def get_source_inputs(tensor: Any) -> list[Any]:
    """The stand-ins of `fl.Input` that a stand-in was made of."""
    found: dict[int, Any] = {}
    seen: set[int] = set()
    left = [tensor]
    while left:
        symbol = left.pop()
        if id(symbol.node) in seen:
            continue
        seen.add(id(symbol.node))
        if not symbol.node.args:
            found[id(symbol)] = symbol
        left += reversed(symbol.node.inputs)
    return list(found.values())
