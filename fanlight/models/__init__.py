"""Ready tasks and models: an architecture or source, plus pre- and post-processing as ops."""

from __future__ import annotations

from fanlight.models import tasks
from fanlight.models.default import default_card, default_model

__all__ = ["default_card", "default_model", "tasks"]
