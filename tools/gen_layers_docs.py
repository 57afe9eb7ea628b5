"""Write docs/layers.md: every layer and what else models are made of, with its arguments.

    python tools/gen_layers_docs.py [--check]

`--check` changes nothing, and fails if the page is not what would be written.
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import fanlight as fl

PAGE = Path(__file__).parents[1] / "docs" / "layers.md"
HEAD = """# Layers, and what else models are made of

Names, arguments and defaults are Keras's. [tutorial.md](tutorial.md) shows how they go
together, [own.md](own.md) how to write your own;
`help(fl.layers.Dense)` and its like say more of each, with formulas and sources. All layers take
`name`, `trainable`, `dtype` and `activity_regularizer`, too. Written by `tools/gen_layers_docs.py`.

## Dtypes

Numbers are float32: weights, what layers compute, and what they give, as WebAssembly's SIMD has no
arithmetic of half precision. `dtype=` names a policy for Keras: "float32", "mixed_float16",
"mixed_bfloat16", "float16", "bfloat16", or an `fl.DTypePolicy`; `fl.set_dtype_policy(...)` sets the
one of layers that are made later. It is kept with the layer (`dtype_policy`, `compute_dtype`,
`dtype`) and in files, and changes no number here: what Keras computes in half precision comes out
as exact as float32 is. Weights that a file has in float16 or bfloat16 are read into float32. A file
that Keras compiled with mixed_float16 brings its optimizer, without the scale of the loss that half
precision needs; that is kept for Keras. "float64" and quantized policies are refused. Of inputs,
whole numbers stay whole until a layer computes with them.
"""
TAIL = """## What Keras has and Fanlight has not

| | instead |
|---|---|
| `JaxLayer`, `FlaxLayer`, `TorchModuleWrapper`, `TFSMLayer` | They run code of other frameworks, which neither Python nor a page has here. `fl.layers.Lambda`, or a class of your own, with functions of `fl`. |
| `MaxNumBoundingBoxes`, `bounding_boxes` | Layers of augmentation move pictures and no boxes; those that would leave boxes or masks behind refuse them. `fl.data.augment` takes the amounts, with which you move yours. |
| `InputSpec` | Layers check what they are called with, and say what they expected. |
| `LossScaleOptimizer` | Gradients are float32 and need no scale: take the optimizer that is inside. Files with one load, and keep its state for Keras. |
| `ProgbarLogger`, `Progbar`, `enable_interactive_logging`, `disable_interactive_logging`, `is_interactive_logging_enabled` | `verbose` of `fit`. |
| `RemoteMonitor`, `get_file` | Nothing here talks to other machines. A `fl.callbacks.LambdaCallback` may; `fl.callbacks.CSVLogger` and `TensorBoard` write files. |
| `OrbaxCheckpoint` | `fl.callbacks.ModelCheckpoint`, `BackupAndRestore`. |
| `image_dataset_from_directory` | `fl.data.image_folder`. |
| `audio_dataset_from_directory`, `text_dataset_from_directory` | `fl.data.from_generator`, `fl.data.from_arrays`. |
| `KerasFileEditor` | `fl.load_model`, `model.get_weights` and `set_weights`, `model.load_weights(path, by_name=True, skip_mismatch=True)`. |
| `split_dataset` | `dataset.split` of `fl.data`. |
| `FeatureSpace` | Its layers by themselves: `Normalization`, `StringLookup`, `Discretization`, `HashedCrossing`, `Concatenate`. |
| `model_to_dot` | `fl.plot_model` draws without Graphviz. |
| `standardize_dtype`, `Config` | Python's own. |
| `keras.applications`, `keras.datasets` | Nothing is downloaded. `fl.load_model` reads files of Keras and TF.js, `fl.default_model` is in the package, `fl.data` reads folders and arrays. |
| `keras.preprocessing`, `keras.tree` | Layers (`Resizing`, `TextVectorization`, ...) and `fl.data`; for nested structures Python's own loops. |
| `keras.mixed_precision`, `keras.backend`, `keras.config` | `fl.set_dtype_policy`; `fl.set_backend` and the functions of `fl`. Numbers are float32, images `[N, H, W, C]`. |
| `model.export` | `fl.build(model, "site/")`; `model.save`, also for TF.js. |
| `tf.data.Dataset.from_tensor_slices`, `cardinality`, `as_numpy_iterator` | `fl.data.from_arrays`, `len(dataset)`, `for x, y in dataset`. |
| `keras.ops` | The functions are in `fl` itself: `fl.softmax`, `fl.matmul`; `fl.ops` is the table of operations. |
"""  # noqa: E501
# What all layers take.
BASE = (
    "name", "trainable", "dtype", "activity_regularizer", "input_shape", "batch_input_shape",
    "input_dim",
)  # fmt: skip
PARTS: dict[str, tuple[str, ModuleType]] = {
    "Layers": ("fl.layers", fl.layers),
    "Activations": ("fl.activations", fl.activations),
    "Losses": ("fl.losses", fl.losses),
    "Metrics": ("fl.metrics", fl.metrics),
    "Optimizers": ("fl.optimizers", fl.optimizers),
    "Learning rate schedules": ("fl.optimizers.schedules", fl.optimizers.schedules),
    "Callbacks": ("fl.callbacks", fl.callbacks),
    "Initializers": ("fl.initializers", fl.initializers),
    "Regularizers": ("fl.regularizers", fl.regularizers),
    "Constraints": ("fl.constraints", fl.constraints),
    "Datasets": ("fl.data", fl.data),
    "Models": ("fl.models", fl.models),
    "Saving": ("fl.saving", fl.saving),
    "Helpers": ("fl.utils", fl.utils),
}


def page() -> str:
    """The whole page."""
    lines = [HEAD]
    for title, (name, room) in PARTS.items():
        lines += [f"## {title}", "", f"`{name}`", "", "| | |", "|---|---|"]
        seen: dict[int, str] = {}
        for key in sorted(room.__all__, key=str.lower):
            thing = getattr(room, key)
            if inspect.ismodule(thing) or key in ("get", "serialize", "deserialize"):
                continue
            own = getattr(thing, "__name__", key)
            if own != key and own in room.__all__ and getattr(room, own) is thing:
                lines.append(f"| `{key}` | the same as `{own}` |")
                continue
            if id(thing) in seen:
                lines.append(f"| `{key}` | the same as `{seen[id(thing)]}` |")
                continue
            seen[id(thing)] = key
            lines.append(f"| `{key}({_arguments(thing)})` | {_told(thing)} |")
        lines.append("")
    lines.append(TAIL)
    return "\n".join(lines)


def _arguments(thing: Any) -> str:
    parts = []
    for name, p in inspect.signature(thing).parameters.items():
        # Of layers that are made of it, input_dim is an argument of their own.
        needed = p.default is p.empty and p.kind is not p.VAR_KEYWORD
        if name in ("options", "self") or (name in BASE and not needed):
            continue
        if p.kind is p.VAR_POSITIONAL:
            parts.append(f"*{name}")
        elif p.kind is p.VAR_KEYWORD:
            parts.append(f"**{name}")
        elif p.default is p.empty:
            parts.append(name)
        elif p.default is not None:
            shown = p.default if isinstance(p.default, str | int | float | tuple) else "…"
            parts.append(f"{name}={shown!r}" if shown != "…" else f"{name}=…")
        else:
            parts.append(f"{name}=None")
    return ", ".join(parts)


def _told(thing: Any) -> str:
    """The first sentence of its docstring."""
    text = " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split())
    return text.replace("|", "\\|")


def main() -> int:
    """0; or 1 if the page is stale."""
    text = page()
    if "--check" in sys.argv[1:]:
        if PAGE.read_text("utf-8") == text:
            return 0
        print(f"{PAGE.parent.name}/{PAGE.name} is stale: run tools/gen_layers_docs.py")
        return 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
