"""The report as JSON, for programs."""

from __future__ import annotations

from typing import Any

from report import gate, wording
from report.cost import Estimate
from report.differences import ABSENT
from report.model import Report


def document(report: Report) -> dict[str, Any]:
    """The report as data. It has every change with every property, including those that the page counts."""
    return {
        "stack": report.preview.stack,
        "verdict": report.verdict,
        "reasons": [{"text": reason.text, "label": reason.label or None} for reason in report.reasons],
        "counts": {**report.preview.counts, "same": report.preview.unchanged},
        "labels": sorted(report.labels),
        "cost": _cost(report.before, report.after),
        "dangers": [
            {
                "urn": danger.urn,
                "kind": danger.kind,
                "text": danger.text,
                "label": danger.label,
                "allowed": gate.is_allowed(danger.label, report.labels),
            }
            for danger in report.dangers
        ],
        "findings": [
            {"source": item.source, "severity": item.severity, "urn": item.urn, "text": item.text}
            for item in report.findings
        ],
        "changes": [
            {
                "urn": item.change.urn,
                "type": item.change.type,
                "name": item.change.name,
                "tier": item.change.tier,
                "operation": item.change.operation,
                "kind": item.kind,
                "cause": item.cause or None,
                "replaceKeys": list(item.change.replace_keys),
                "properties": {
                    difference.path: {
                        "old": None if difference.old is ABSENT else difference.old,
                        "new": None if difference.new is ABSENT else difference.new,
                        "replaces": difference.replaces,
                    }
                    for difference in item.change.differences
                },
            }
            for item in report.explained
        ],
    }


def unreadable(reason: str) -> dict[str, Any]:
    """The document for a preview that can't be read."""
    return {
        "verdict": gate.BLOCKED,
        "reasons": [{"text": reason, "label": None}],
        "counts": {},
        "dangers": [],
        "findings": [],
        "changes": [],
        "cost": _cost(None, None),
    }


def _cost(before: Estimate | None, after: Estimate | None) -> dict[str, Any]:
    return {
        "before": float(before.total) if before else None,
        "after": float(after.total) if after else None,
        "byTier": {
            tier: {
                "before": float(before.by_tier.get(tier, 0)),
                "after": float(after.by_tier.get(tier, 0)),
            }
            for tier in dict.fromkeys([*before.by_tier, *after.by_tier])
        }
        if before and after
        else {},
        "unpriced": sorted(
            {wording.unpriced(item) for side in (before, after) if side for item in side.unpriced}
        ),
        "byTraffic": sorted({*(before.by_traffic if before else ()), *(after.by_traffic if after else ())}),
    }
