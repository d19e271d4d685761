"""Tier 4, the API: see `api.py` for the tier, `document.py` for what API Gateway imports."""

from components.api.api import Api, ApiArgs

__all__ = ["Api", "ApiArgs"]
