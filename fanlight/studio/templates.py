"""What stands beside a model in Studio's folder, so that a page can give it other forms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fanlight.errors import FanlightError
from fanlight.layers.file_safetensors import named
from fanlight.layers.file_tfjs import described
from fanlight.web.single_file import hollow_page

PAGE, TFJS = "page.html.tpl", "tfjs.json"


def export_files(model: Any, folder: Path) -> dict[str, bytes]:
    """path -> bytes of what belongs beside the bundle of a model that learns in a page.

    `page.html.tpl` is the page in one file without its model. `tfjs.json` says how TF.js describes
    the model, and under which name `save` of the page has each of its weights; a model that TF.js
    has no layers for has none.

    Args:
        model: of layers, as it was built into `folder`.
        folder: its bundle.

    Raises:
        FanlightError: E-BUNDLE-00x the folder is no bundle with a page.
    """
    files = {PAGE: hollow_page(folder).encode()}
    about = _tfjs(model, folder)
    return files if about is None else files | {TFJS: about}


def _tfjs(model: Any, folder: Path) -> bytes | None:
    try:
        topology, weights = described(model)
    except FanlightError as error:
        if error.code != "E-LAYER-009":
            raise
        return None
    training = json.loads((folder / "training.json").read_bytes())
    paths = {id(weight): path for path, weight in named(model)}
    told = {
        "topology": topology,
        "weights": [{"name": name, "path": paths[id(weight)]} for name, weight in weights],
        "head": training["head"],
    }
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()
