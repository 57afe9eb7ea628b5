"""What functions are called here that other libraries call otherwise, for whoever looks in vain."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import NoReturn

# Fanlight has TensorFlow.js's names in snake_case. Name elsewhere -> what to write here.
CALLED: dict[str, str] = {
    # NumPy and the array API standard
    "absolute": "fl.abs",
    "amax": "fl.max",
    "amin": "fl.min",
    "append": "fl.concat",
    "arccos": "fl.acos",
    "arccosh": "fl.acosh",
    "arcsin": "fl.asin",
    "arcsinh": "fl.asinh",
    "arctan": "fl.atan",
    "arctan2": "fl.atan2",
    "arctanh": "fl.atanh",
    "argmax": "fl.arg_max",
    "argmin": "fl.arg_min",
    "argwhere": "fl.where_indices",
    "array": "fl.tensor",
    "asarray": "fl.tensor",
    "astype": "fl.cast",
    "bitwise_invert": "fl.bitwise_not",
    "bitwise_left_shift": "fl.left_shift",
    "bitwise_right_shift": "fl.right_shift",
    "column_stack": "fl.stack(..., 1)",
    "concatenate": "fl.concat",
    "conjugate": "fl.conj",
    "copy": "fl.clone",
    "cumulative_prod": "fl.cumprod",
    "cumulative_sum": "fl.cumsum",
    "divide": "fl.div",
    "empty": "fl.zeros",
    "empty_like": "fl.zeros_like",
    "flip": "fl.reverse",
    "fliplr": "fl.reverse(x, 1)",
    "flipud": "fl.reverse(x, 0)",
    "floor_divide": "fl.floor_div",
    "fmax": "fl.maximum",
    "fmin": "fl.minimum",
    "hstack": "fl.concat",
    "inner": "fl.tensordot(a, b, 1)",
    "inv": "fl.linalg.inverse",
    "isclose": "fl.abs(a - b) <= tolerance",
    "isfinite": "fl.is_finite",
    "isin": "fl.any(fl.equal(fl.expand_dims(x, -1), values), -1)",
    "isinf": "fl.is_inf",
    "isnan": "fl.is_nan",
    "matrix_transpose": "x.mT",
    "multiply": "fl.mul",
    "negative": "fl.neg",
    "permute_dims": "fl.transpose",
    "power": "fl.pow",
    "ravel": "fl.reshape(x, -1)",
    "remainder": "fl.floor_mod",
    "searchsorted": "fl.search_sorted",
    "size": "x.size",
    "shape": "x.shape",
    "ndim": "x.rank",
    "subtract": "fl.sub",
    "take": "fl.gather",
    "trace": "fl.linalg.trace",
    "tril": "fl.linalg.tril",
    "triu": "fl.linalg.triu",
    "true_divide": "fl.div",
    "vecdot": "fl.sum(a * b, -1)",
    "vstack": "fl.concat(..., 0)",
    # TensorFlow and Keras
    "batch_normalization": "fl.batch_norm",
    "constant": "fl.tensor",
    "convert_to_tensor": "fl.tensor",
    "function": "fl.jit",
    "reduce_all": "fl.all",
    "reduce_any": "fl.any",
    "reduce_logsumexp": "fl.log_sum_exp",
    "reduce_max": "fl.max",
    "reduce_mean": "fl.mean",
    "reduce_min": "fl.min",
    "reduce_prod": "fl.prod",
    "reduce_std": "fl.std",
    "reduce_sum": "fl.sum",
    "reduce_variance": "fl.var",
    # PyTorch and JAX
    "bmm": "fl.matmul",
    "cat": "fl.concat",
    "clamp": "fl.clip",
    "flatten": "x.flatten()",
    "from_numpy": "fl.tensor",
    "jacfwd": "fl.jacobian",
    "jacrev": "fl.jacobian",
    "logsumexp": "fl.log_sum_exp",
    "masked_select": "fl.boolean_mask",
    "mm": "fl.matmul",
    "no_grad": "fl.stop_gradient",
    "permute": "fl.transpose",
    "silu": "fl.swish",
    "topk": "fl.top_k",
    "unsqueeze": "fl.expand_dims",
    "view": "fl.reshape",
}

# What others have, modules above all, and Fanlight has in other places, or does otherwise.
TOLD: dict[str, str] = {
    "GradientTape": "gradients are of functions: fl.value_and_grad(f)(x), or, of what fl.variable "
    "and layers hold, fl.variable_grads(lambda: loss)",
    "Module": "a part of a network is a class of fl.layers.Layer or fl.Model",
    "applications": "nothing is downloaded: fl.load_model reads files of Keras and TensorFlow.js, "
    "fl.default_model() is in the package",
    "backend": "functions of tensors are in fl itself, as fl.mean; fl.set_backend chooses what "
    "computes them, fl.clear_session() forgets names",
    "config": "fl.set_dtype_policy, fl.set_backend and fl.set_random_seed are what can be set; "
    "numbers are float32, images [N, H, W, C]",
    "datasets": "nothing is downloaded: fl.data.image_folder, fl.data.from_csv and "
    "fl.data.from_arrays read what you have",
    "distribute": "fit trains on one machine, in threads",
    "experimental": "what there is is in fl itself, in fl.layers and in fl.data",
    "keras": "what Keras has is in fl itself: fl.layers, fl.Sequential, fl.losses",
    "math": "functions of tensors are in fl itself, as fl.log",
    "mixed_precision": 'fl.set_dtype_policy("mixed_float16") is kept with layers and in files; '
    "numbers are float32",
    "nn": "functions are in fl itself, as fl.relu, fl.softmax and fl.conv2d; layers in fl.layers",
    "optim": "it is fl.optimizers",
    "preprocessing": "layers do it: fl.layers.Resizing, fl.layers.TextVectorization; files are "
    "read by fl.data.image_folder and fl.utils.load_img, fl.utils.pad_sequences fills up",
    "quantizers": "fl.quantize makes a model that computes in bytes",
    "tree": "nested lists and dicts are gone through by Python's own loops",
}


# Of fl.data and fl.utils: what makes datasets.
DATASETS: dict[str, str] = {
    "AUTOTUNE": "dataset.prefetch(ahead, threads=2) is told how many",
    "TFRecordDataset": "records of TensorFlow are not read here; fl.data.from_generator takes what "
    "reads them",
    "audio_dataset_from_directory": "fl.data.from_generator of a function that yields (sound, "
    "class number)",
    "image_dataset_from_directory": "fl.data.image_folder(path, size=160).batch(32): a folder for "
    "each class",
    "split_dataset": "dataset.split(0.2) of what fl.data gives",
    "text_dataset_from_directory": "fl.data.from_generator of a function that yields (text, class "
    "number), or fl.data.from_csv",
    "timeseries_dataset_from_array": "it is fl.utils.timeseries_dataset_from_array",
}
# Of datasets: what tf.data calls so.
METHODS_OF_DATASETS: dict[str, str] = {
    "apply": "call the function: transformed(dataset)",
    "as_numpy_iterator": "its elements are NumPy's arrays: for x, y in dataset",
    "cardinality": "len(dataset) tells; dataset.endless, whether it ends",
    "element_spec": "dataset.first() is an element to look at",
    "flat_map": "dataset.map(...).unbatch()",
    "get_single_element": "dataset.first()",
    "options": "there are none: dataset.prefetch(ahead, threads=2) is what makes it faster",
    "padded_batch": "fl.utils.pad_sequences makes rows of one length before",
    "reduce": "go through it: for x in dataset",
    "rejection_resample": "dataset.balanced()",
    "save": "dataset.cache(path) keeps its elements in a file",
    "snapshot": "dataset.cache(path) keeps its elements in a file",
    "window": "fl.utils.timeseries_dataset_from_array makes windows",
}
METHODS_OF_DATASETS["with_options"] = METHODS_OF_DATASETS["options"]
# Of models: what Keras, Keras 2 and PyTorch call so.
METHODS_OF_MODELS: dict[str, str] = {
    "evaluate_generator": "model.evaluate takes generators and datasets",
    "export": 'fl.build(model, "site/") writes it for the browser; model.save("model.keras") for '
    'Keras, model.save("folder/") for TensorFlow.js',
    "fit_generator": "model.fit takes generators and datasets",
    "load_state_dict": "model.set_weights, or model.load_weights(path)",
    "parameters": "model.trainable_weights",
    "predict_classes": "fl.arg_max(model.predict(x), -1)",
    "predict_generator": "model.predict takes generators and datasets",
    "predict_proba": "model.predict gives what the last layer gives",
    "quantize": "fl.quantize(model, photos) makes one that computes in bytes",
    "state_dict": "model.get_weights(), or model.save_weights(path)",
    "to_yaml": "model.to_json()",
}


class Elsewhere:
    """An attribute that a class has in other libraries: looking it up says what is here.

    Args:
        told: what is here.
    """

    def __init__(self, told: str) -> None:
        self.told, self.name = told, ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: object, owner: type) -> NoReturn:
        raise no_attribute(f"type object {owner.__name__!r}", self.name, {self.name: self.told})


def no_attribute(holder: str, name: str, told: Mapping[str, str]) -> AttributeError:
    """Python's error for an attribute that is not there, with what is there instead.

    Args:
        holder: who does not have it, as Python says it: "module 'fanlight.data'".
        told: what to say of which name.
    """
    text = f"{holder} has no attribute {name!r}"
    return AttributeError(text + (f": {told[name]}" if name in told else ""), name=name)


def elsewhere(module: str, told: Mapping[str, str]) -> Callable[[str], object]:
    """The `__getattr__` of a module that says of some names where they are."""

    def look(name: str) -> object:
        raise no_attribute(f"module {module!r}", name, told)

    return look


def missing(
    name: str, ours: Iterable[str], standard: Iterable[str], rooms: Mapping[str, Iterable[str]]
) -> AttributeError:
    """The error for a name that the package does not have: what it is called here.

    Args:
        ours: the names that the package has.
        standard: those of fanlight.array_api.
        rooms: those of the modules beside them, "linalg" and others.
    """
    text = f"module 'fanlight' has no attribute {name!r}"
    called, listed = CALLED.get(name), name in standard
    inside = [f"fl.{room}.{name}" for room, names in rooms.items() if name in names]
    near = get_close_matches(name, list(ours), n=1, cutoff=0.75)
    if name in TOLD:
        text += f": {TOLD[name]}"
    elif called:
        text += f": {name} is {called} here"
        text += f"; fl.array_api.{name} has NumPy's signature" if listed else ""
    elif inside:
        text += f": it is {' or '.join(inside)}"
    elif listed:
        text += f": it is fl.array_api.{name}"
    elif near:
        text += f": is fl.{near[0]} what you mean?"
    return AttributeError(text, name=name)
