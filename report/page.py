"""The report as a page of its own."""

from __future__ import annotations

import html

from report.model import Report


def render(report: Report) -> str:
    """The report as HTML."""
    return f"<!doctype html><title>{html.escape(report.preview.stack)}</title>"


def failed(reason: str) -> str:
    """The page for a preview that can't be read."""
    return f"<!doctype html><pre>{html.escape(reason)}</pre>"
