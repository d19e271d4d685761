"""PromQL in a stack file: what Prometheus could not evaluate is told before anything is deployed."""

from __future__ import annotations

import promql_parser

_NO_VECTOR = (promql_parser.MatrixSelector, promql_parser.SubqueryExpr, promql_parser.StringLiteral)


def promql_problem(query: str) -> str | None:
    """What is wrong with a query for the value at one moment, if something is."""
    try:
        parsed = promql_parser.parse(query)
    except ValueError as error:
        return f"is not valid PromQL: {error}"
    if isinstance(parsed, _NO_VECTOR):
        return (
            "must have a value at one moment, such as sum(rate(orders_total[2m])), and is a range or a text"
        )
    return None
