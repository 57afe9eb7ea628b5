"""Whole networks of torchvision and transformers, exported and read, against PyTorch itself.

    python tools/torch_table.py [NAME...] [--write]

Each network is made from its class with seeded random weights (nothing is downloaded), exported by
`torch.export`, read by `fl.from_torch`, and run with NumPy and as WebAssembly. Differences are the
worst of any output, relative to the largest number of that output. `--write` makes
docs/torch_models.md. Needs torch, torchvision and transformers.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import fanlight as fl

PAGE = Path(__file__).resolve().parent.parent / "docs" / "torch_models.md"
HEAD = """# PyTorch networks that are read

Made by `python tools/torch_table.py --write`; do not edit.

Each is made from its class with seeded random weights, exported by `torch.export` ({torch}),
and read by `fl.from_torch`. {agree} of {count} give PyTorch's answer within 0.001,
{built} of them as WebAssembly, too. The difference is the worst one of any output, relative to the
largest number of that output. Networks of torchvision ({torchvision}) are whole, those of
transformers ({transformers}) small ones of their kind.

| network | inputs | ops | load, s | NumPy to PyTorch | WebAssembly to NumPy |
|---|---|---|---|---|---|
"""
LIMIT = 1e-3

PICTURES = (
    "alexnet squeezenet1_1 resnet18 resnext50_32x4d vgg11_bn mobilenet_v2 mobilenet_v3_small "
    "efficientnet_b0 efficientnet_v2_s shufflenet_v2_x0_5 mnasnet0_5 densenet121 googlenet "
    "inception_v3 regnet_y_400mf regnet_x_400mf convnext_tiny vit_b_32 swin_t swin_v2_t maxvit_t"
).split()
MASKS = ("lraspp_mobilenet_v3_large", "deeplabv3_mobilenet_v3_large", "fcn_resnet50")
FILMS = ("r3d_18", "mc3_18", "s3d", "swin3d_t")

Network = tuple[str, Callable[[], Any], dict[str, Any]]


def torchvision_networks() -> Iterator[Network]:
    """Name, how to make it, and its inputs by the argument's name."""
    from torchvision import models

    sizes = {"inception_v3": 299, "maxvit_t": 224}
    more: dict[str, dict[str, Any]] = {
        "vit_b_32": {"image_size": 96},
        "googlenet": {"init_weights": False},
        "inception_v3": {"init_weights": False},
    }
    for name in PICTURES:
        size = sizes.get(name, 96)
        make = getattr(models, name)
        options = more.get(name, {})
        yield name, lambda m=make, o=options: m(weights=None, **o), {"x": (1, 3, size, size)}
    for name in MASKS:
        make = getattr(models.segmentation, name)
        yield name, lambda m=make: m(weights=None, weights_backbone=None), {"input": (1, 3, 96, 96)}
    for name in FILMS:
        make = getattr(models.video, name)
        yield name, lambda m=make: m(weights=None), {"x": (1, 3, 16, 64, 64)}


def transformers_networks() -> Iterator[Network]:
    """The same of transformers: classes and settings that make them small."""
    import transformers

    ids = torch.randint(3, 90, (2, 12))
    mask = torch.ones(2, 12, dtype=torch.long)
    mask[1, 9:] = 0
    texts = {"input_ids": ids, "attention_mask": mask}
    picture = {"pixel_values": (2, 3, 64, 64)}
    text: dict[str, Any] = {
        "vocab_size": 100,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": 64,
    }
    patches = {k: v for k, v in text.items() if k[:3] not in ("voc", "max")}
    patches |= {"image_size": 64, "patch_size": 16}
    grouped = text | {"num_key_value_heads": 2}
    both: dict[str, Any] = {
        "vocab_size": 100,
        "d_model": 32,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "encoder_ffn_dim": 64,
        "decoder_ffn_dim": 64,
    }
    t5 = {"vocab_size": 100, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}
    sound = {k: v for k, v in patches.items() if not k.endswith("_size")} | {
        "hidden_size": 32,
        "intermediate_size": 64,
        "conv_dim": [16] * 7,
        "num_conv_pos_embedding_groups": 4,
        "num_conv_pos_embeddings": 16,
    }
    marks = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    special = marks | {"cls_token_id": 1, "sep_token_id": 2}
    table: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        ("BertModel", text, texts),
        ("DistilBertForSequenceClassification", {"vocab_size": 100, "dim": 32, "n_layers": 2,
         "n_heads": 4, "hidden_dim": 64}, texts),
        ("RobertaForSequenceClassification", text, texts),
        ("AlbertModel", text | {"embedding_size": 16}, texts),
        ("ElectraModel", text | {"embedding_size": 16}, texts),
        ("MPNetModel", text, texts),
        ("DebertaV2Model", text, texts),
        ("MobileBertModel", {"vocab_size": 100, "num_hidden_layers": 2}, texts),
        ("ModernBertModel", text | special, texts),
        ("GPT2LMHeadModel", {"vocab_size": 100, "n_embd": 32, "n_layer": 2, "n_head": 4,
         "n_positions": 64}, texts),
        ("GPTNeoXForCausalLM", text, texts),
        ("LlamaForCausalLM", grouped, texts),
        ("MistralForCausalLM", grouped, texts),
        ("Qwen2ForCausalLM", grouped, texts),
        ("GemmaForCausalLM", grouped | {"head_dim": 8}, texts),
        ("PhiForCausalLM", text, texts),
        ("OPTForCausalLM", {"vocab_size": 100, "hidden_size": 32, "num_hidden_layers": 2,
         "num_attention_heads": 4, "ffn_dim": 64, "max_position_embeddings": 64,
         "word_embed_proj_dim": 32}, texts),
        ("MambaModel", {"vocab_size": 100, "hidden_size": 32, "num_hidden_layers": 2,
         "state_size": 8}, {"input_ids": ids}),
        ("T5EncoderModel", t5, texts),
        ("T5ForConditionalGeneration", t5, texts | {"decoder_input_ids": ids}),
        ("BartModel", both | {"max_position_embeddings": 64}, texts),
        ("ViTForImageClassification", patches, picture),
        ("DeiTForImageClassification", patches, picture),
        ("Dinov2Model", patches, picture),
        ("BeitModel", patches, picture),
        ("SwinModel", {"image_size": 64, "patch_size": 4, "embed_dim": 16, "depths": [1, 1],
         "num_heads": [2, 2], "window_size": 4}, picture),
        ("ConvNextModel", {"hidden_sizes": [16, 32], "depths": [1, 1], "num_stages": 2}, picture),
        ("MobileViTModel", {"image_size": 64}, picture),
        ("SegformerForSemanticSegmentation", {"depths": [1, 1, 1, 1]}, picture),
        ("DPTForDepthEstimation", patches | {"num_hidden_layers": 4,
         "backbone_out_indices": [0, 1, 2, 3], "neck_hidden_sizes": [16] * 4,
         "fusion_hidden_size": 16}, picture),
        ("YolosForObjectDetection", patches | {"image_size": [64, 64]}, picture),
        ("CLIPModel", {"text_config": text | {"eos_token_id": 99}, "vision_config": patches,
         "projection_dim": 16}, {"input_ids": ids} | picture | {"attention_mask": mask}),
        ("SiglipVisionModel", patches, picture),
        ("WhisperModel", both | marks | {"max_source_positions": 50, "num_mel_bins": 80,
         "decoder_start_token_id": 1}, {"input_features": (2, 80, 100), "decoder_input_ids": ids}),
        ("Wav2Vec2Model", sound, {"input_values": (1, 4000)}),
        ("HubertModel", sound, {"input_values": (1, 4000)}),
        ("ASTModel", {k: v for k, v in patches.items() if k != "image_size"} | {"max_length": 64,
         "num_mel_bins": 32}, {"input_values": (1, 64, 32)}),
    ]  # fmt: skip
    for name, options, inputs in table:
        kind = getattr(transformers, name)

        def make(kind: Any = kind, options: dict[str, Any] = options) -> Any:
            return kind(kind.config_class(**options))

        yield name, make, inputs


class ByName(torch.nn.Module):
    """A module of transformers whose arguments are given by name, without its cache."""

    def __init__(self, module: torch.nn.Module, names: list[str]) -> None:
        super().__init__()
        self.module = module
        self.names = names

    def forward(self, *arrays: torch.Tensor) -> Any:
        more = {"use_cache": False} if "use_cache" in self.module.config.to_dict() else {}
        return self.module(**dict(zip(self.names, arrays, strict=True)), **more)[0]


def awake(module: torch.nn.Module) -> torch.nn.Module:
    """The module with numbers where it starts with zeros or ones: heads, norms, statistics."""
    with torch.no_grad():
        for name, x in [*module.named_parameters(), *module.named_buffers()]:
            if x.dtype != torch.float32 or x.numel() < 2 or x.min() != x.max():
                continue
            if "num_batches" not in name:
                x.add_(torch.rand_like(x) * 0.2 - 0.1)
    return module.eval()


def flat(found: Any) -> list[np.ndarray]:
    """The tensors of a result, in order."""
    if isinstance(found, torch.Tensor):
        return [found.detach().numpy()]
    parts = found.values() if isinstance(found, Mapping) else found
    return [x for part in parts for x in flat(part)]


def apart(ours: list[np.ndarray], theirs: list[np.ndarray]) -> float:
    """The worst difference of an output, relative to its largest number."""
    if [y.shape for y in ours] != [y.shape for y in theirs]:
        return float("inf")
    pairs = zip(ours, theirs, strict=True)
    return max(float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-9)) for a, b in pairs)


def row(name: str, make: Callable[[], Any], inputs: dict[str, Any], by_name: bool) -> list[str]:
    """One row of the table; what went wrong stands where its number would."""
    torch.manual_seed(0)
    module = awake(make())
    given = tuple(
        torch.rand(shape) if isinstance(shape, tuple) else shape for shape in inputs.values()
    )
    if by_name:
        module = ByName(module, list(inputs))
    shapes = ", ".join(str(list(x.shape)) for x in given)
    with torch.no_grad():
        theirs = flat(module(*given))
        program = torch.export.export(module, given, strict=False)
    try:
        start = time.perf_counter()
        model = fl.from_torch(program)
        seconds = f"{time.perf_counter() - start:.1f}"
        fed = {n: x.numpy() for (n, _), x in zip(model.inputs, given, strict=True)}
        ours = list(model(fed).values())
        found = [name, shapes, str(len(model.graph.nodes)), seconds, f"{apart(ours, theirs):.0e}"]
    except fl.FanlightError as error:
        return [name, shapes, "", "", f"{error.code} {error.message}", ""]
    try:
        with tempfile.TemporaryDirectory() as folder:
            built = fl.build(model, Path(folder) / "built").run(fed)
        return [*found, f"{apart(list(built.values()), ours):.0e}"]
    except fl.FanlightError as error:
        return [*found, f"{error.code} {error.message}"]


def within(cell: str) -> bool:
    return cell[:1].isdigit() and float(cell) <= LIMIT


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--write", action="store_true", help="make docs/torch_models.md")
    asked = parser.parse_args()
    import torchvision
    import transformers

    transformers.logging.set_verbosity_error()
    warnings.filterwarnings("ignore", category=UserWarning)
    rows = []
    for by_name, networks in enumerate((torchvision_networks(), transformers_networks())):
        for name, make, inputs in networks:
            if not asked.names or name in asked.names:
                rows.append(row(name, make, inputs, bool(by_name)))
                print("| " + " | ".join(rows[-1]) + " |", flush=True)
    if asked.write:
        head = HEAD.format(
            agree=sum(within(r[4]) for r in rows),
            built=sum(within(r[4]) and within(r[5]) for r in rows),
            count=len(rows),
            torch=f"PyTorch {torch.__version__.partition('+')[0]}",
            torchvision=torchvision.__version__.partition("+")[0],
            transformers=transformers.__version__,
        )
        PAGE.write_text(head + "".join("| " + " | ".join(r) + " |\n" for r in rows))


if __name__ == "__main__":
    main()
