"""Checks PromQL in a stack file, so that an invalid query is reported before anything is deployed."""

from __future__ import annotations

import promql_parser

_NO_VECTOR = (promql_parser.MatrixSelector, promql_parser.SubqueryExpr, promql_parser.StringLiteral)


def promql_problem(query: str) -> str | None:
    """The problem with a query that must have an instant value, or None."""
    try:
        parsed = promql_parser.parse(query)
    except ValueError as error:
        return f"is not valid PromQL: {error}"
    if isinstance(parsed, _NO_VECTOR):
        return "is a range or a string: must have an instant value, such as sum(rate(orders_total[2m]))"
    return None
