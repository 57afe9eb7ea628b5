"""The model's folder: a TF.js layers-model, its labels and its card."""

import hashlib
import json
import math
import shutil
import textwrap

import numpy as np
import torch
import torch.nn.functional as F

from train_default.network import BLOCKS, SIZE, STEM, pad_same, scores, top

# WordNet's first synonym is not always the plain English word.
PLAIN = {
    "tabby": "tabby cat",
    "monarch": "monarch butterfly",
    "teddy": "teddy bear",
    "hog": "pig",
    "lesser panda": "red panda",
    "alp": "mountain",
    "pop bottle": "soda bottle",
    "lakeside": "lakeshore",
}


def plain_label(words):
    first = words.split(",")[0].strip()
    return PLAIN.get(first, first)


def layers_model(model, names):
    """The Keras 2 topology, and (name, float32 array) weights with batch norms folded in."""
    layers, weights = [], []

    def add(kind, name, **config):
        before = [[[layers[-1]["name"], 0, 0, {}]]] if layers else []
        layers.append(
            {
                "class_name": kind,
                "name": name,
                "inbound_nodes": before,
                "config": {"name": name, "trainable": True, "dtype": "float32", **config},
            }
        )

    def weight(name, value):
        weights.append((name, value.detach().cpu().float().contiguous().numpy()))

    add("InputLayer", "input_1", batch_input_shape=[None, SIZE, SIZE, 3], sparse=False)
    for unit in model.layers:
        kernel, bias = unit.folded()
        common = {
            "kernel_size": [unit.kernel] * 2,
            "strides": [unit.stride] * 2,
            "padding": "same",
            "data_format": "channels_last",
            "dilation_rate": [1, 1],
            "activation": "linear",
            "use_bias": True,
        }
        if unit.conv.groups > 1:
            add("DepthwiseConv2D", unit.name, depth_multiplier=1, **common)
            weight(f"{unit.name}/depthwise_kernel", kernel.permute(2, 3, 0, 1))
        else:
            add("Conv2D", unit.name, filters=len(bias), **common)
            weight(f"{unit.name}/kernel", kernel.permute(2, 3, 1, 0))
        weight(f"{unit.name}/bias", bias)
        add("ReLU", f"{unit.name}_relu", max_value=6.0, negative_slope=0.0, threshold=0.0)
    add("GlobalAveragePooling2D", "global_average_pooling2d", data_format="channels_last")
    add("Dense", "predictions", units=len(names), activation="softmax", use_bias=True)
    weight("predictions/kernel", model.predictions.weight.T)
    weight("predictions/bias", model.predictions.bias)
    config = {
        "name": "fanlight_mobilenet_64",
        "trainable": True,
        "layers": layers,
        "input_layers": [["input_1", 0, 0]],
        "output_layers": [["predictions", 0, 0]],
    }
    topology = {
        "keras_version": "2.15.0",
        "backend": "tensorflow",
        "model_config": {"class_name": "Functional", "config": config},
    }
    return topology, weights


def read_back(folder):
    """A forward function made of nothing but the written files: what a loader would compute."""
    document = json.loads((folder / "model.json").read_text())
    group = document["weightsManifest"][0]
    data, at, value = b"".join((folder / p).read_bytes() for p in group["paths"]), 0, {}
    for entry in group["weights"]:
        count = math.prod(entry["shape"])
        array = np.frombuffer(data, "<f2", count, at).astype(np.float32)
        value[entry["name"]] = torch.from_numpy(array.reshape(entry["shape"]))
        at += 2 * count
    if at != len(data):
        raise ValueError(f"the weight file has {len(data)} bytes, the manifest names {at}")
    layers = document["modelTopology"]["model_config"]["config"]["layers"]

    def forward(x):
        for layer in layers:
            kind, name, config = layer["class_name"], layer["name"], layer["config"]
            if kind in ("Conv2D", "DepthwiseConv2D"):
                deep = kind == "DepthwiseConv2D"
                kernel = value[f"{name}/{'depthwise_' if deep else ''}kernel"]
                kernel = kernel.permute(2, 3, 0, 1) if deep else kernel.permute(3, 2, 0, 1)
                stride = config["strides"][0]
                x = F.conv2d(
                    pad_same(x, kernel.shape[-1], stride),
                    kernel.contiguous(),
                    value[f"{name}/bias"],
                    stride,
                    groups=x.shape[1] if deep else 1,
                )
            elif kind == "ReLU":
                x = x.clamp(0, config["max_value"])
            elif kind == "GlobalAveragePooling2D":
                x = x.mean((2, 3))
            elif kind == "Dense":
                x = (x @ value[f"{name}/kernel"] + value[f"{name}/bias"]).softmax(1)
        return x

    return forward


def export(model, folder, words, pixels, labels, split, story):
    """Write the model's folder whole, measured from its own files; swap it in at the end."""
    names = [plain_label(w) for w in words]
    new = folder.with_name(folder.name + ".new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    topology, weights = layers_model(model, names)
    half = {"dtype": "float16", "original_dtype": "float32"}
    manifest = [
        {
            "paths": ["group1-shard1of1.bin"],
            "weights": [
                {"name": name, "shape": list(array.shape), "dtype": "float32", "quantization": half}
                for name, array in weights
            ],
        }
    ]
    blob = b"".join(array.astype("<f2").tobytes() for _, array in weights)
    (new / "group1-shard1of1.bin").write_bytes(blob)
    (new / "model.json").write_text(
        json.dumps(
            {
                "format": "layers-model",
                "generatedBy": "fanlight tools/train_default.py",
                "convertedBy": None,
                "modelTopology": topology,
                "weightsManifest": manifest,
            }
        )
        + "\n"
    )
    (new / "labels.txt").write_text("".join(f"{name}\n" for name in names))
    photos = torch.from_numpy(pixels[split == 1])
    answers = torch.from_numpy(labels[split == 1])
    written = scores(read_back(new), photos)
    hits = written.argmax(1) == answers
    share = [hits[answers == c].float().mean().item() for c in range(len(names))]
    figures = {
        "top1": top(written, answers, 1),
        "top5": top(written, answers, 5),
        "per_class": share,
        "parameters": sum(array.size for _, array in weights),
        "bytes": len(blob),
        "digest": hashlib.sha256(blob).hexdigest(),
    }
    (new / "card.md").write_text(card(names, figures, story, split))
    old = folder.with_name(folder.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
    return figures


def paragraphs(text):
    return "\n\n".join(textwrap.fill(part, 96) for part in text.split("\n\n"))


def item(text):
    return textwrap.fill(text, 96, initial_indent="- ", subsequent_indent="  ")


def card(names, figures, story, split):
    """The model card, every figure in it measured from the exported files."""
    order = sorted(range(len(names)), key=lambda c: figures["per_class"][c])

    def listed(classes):
        return ", ".join(f"{names[c]} {figures['per_class'][c]:.0%}" for c in classes)

    body = ", ".join(f"{c}{'/2' if s == 2 else ''}" for c, s in BLOCKS)
    shape = (
        f"MobileNet v1: a 3 x 3 convolution of stride 2 to {STEM} channels, {len(BLOCKS)} "
        f"depthwise-separable blocks to {body} channels (`/2` marks stride 2), ReLU6 after every "
        f"convolution, global average pooling ({BLOCKS[-1][0]} features) and a softmax layer.  "
        "TensorFlow's 'same' padding."
    )
    train, held = int((split == 0).sum()), int((split == 1).sum())
    return f"""# Model card: fanlight_mobilenet_64

A small image classifier: the photo's most likely class out of 100 everyday ones.  It is the
demo model that comes with Fanlight, and a backbone for transfer learning.

| | |
|---|---|
| Input | `[n, {SIZE}, {SIZE}, 3]` RGB, `pixel / 127.5 - 1` |
| Output | `[n, {len(names)}]` probabilities, in the order of `labels.txt` |
| Parameters | {figures["parameters"]:,} (batch norms folded in) |
| Weights | float16, {figures["bytes"]:,} bytes |
| Top-1 | **{figures["top1"]:.1%}** of the {held:,} validation photos |
| Top-5 | **{figures["top5"]:.1%}** |
| SHA-256 of the weights | `{figures["digest"]}` |

The accuracy is that of the files beside this card (float16 weights, float32 arithmetic), one
centred view a photo, on the data set's own validation split.  That split also chose which
checkpoint to keep, so expect slightly less on new photos of the same kind.

## Architecture

{paragraphs(shape)}

## Data and its terms

{train:,} training and {held:,} validation photos of 100 classes of Tiny ImageNet 200, a 64-pixel
subset of ImageNet (ILSVRC).  ImageNet does not own its photos; it gives them to researchers for
non-commercial research and educational use, under terms that they accept.  No photo is part of
this model or of Fanlight.  Whoever plans a commercial use should judge for themselves what those
terms mean for weights trained on such photos, or train new ones: the script is
`tools/train_default.py`.

## Training

{paragraphs(story)}

## Limits

- It always answers with one of its 100 classes, also for a photo of something else; a high
  probability is no proof.  There is no class for people.
- It was trained on 64-pixel photos of mostly one object; small, cropped or crowded objects,
  drawings and unusual angles are often mistaken.
{item(f"Best classes: {listed(order[::-1][:8])}.")}
{item(f"Worst classes: {listed(order[:8])}.")}
- The photos were gathered from the web with mostly English words: what buses, food or furniture
  look like elsewhere is seen less, and recognised less well.
- Not for decisions about people, nor where an error could harm someone.
"""
