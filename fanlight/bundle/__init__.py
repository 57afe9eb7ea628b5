"""The bundle: what is shipped. A manifest, WebAssembly modules, weight shards, and the runtime."""

from __future__ import annotations

from fanlight.bundle.read import BundleFiles, read_bundle
from fanlight.bundle.write import BundleWriter, sha256

__all__ = ["BundleFiles", "BundleWriter", "read_bundle", "sha256"]
