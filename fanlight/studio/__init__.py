"""Studio: a page in which visitors teach a classifier with photos of their own."""

from __future__ import annotations

from fanlight.studio.backbone import Backbone, backbone_of
from fanlight.studio.heads import Head, heads_for
from fanlight.studio.site import Studio, studio

__all__ = ["Backbone", "Head", "Studio", "backbone_of", "heads_for", "studio"]
