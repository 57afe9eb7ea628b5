"""The bundle: what is shipped. A manifest, WebAssembly modules, weight shards, and the runtime."""

from __future__ import annotations

from fanlight.bundle.halves import image_of, is_half, place_bytes
from fanlight.bundle.read import BundleFiles, check_manifest, read_bundle
from fanlight.bundle.write import BundleWriter, sha256

__all__ = [
    "BundleFiles",
    "BundleWriter",
    "check_manifest",
    "image_of",
    "is_half",
    "place_bytes",
    "read_bundle",
    "sha256",
]
