"""What a client must not send to the API, because it would be mistaken for what the platform adds.

The CloudFront function removes the headers and refuses the paths (`functions/edge/api_request.js`). The web
ACL of the load balancer refuses both, because other distributions can reach it. Source: API Gateway Developer
Guide, "Important notes for REST APIs" (names of headers are compared by case, `X-HTTP-Method-Override`
changes the method, path parameters are decoded) and "Invoke a private API" (`x-apigw-api-id` selects an API).
"""

from __future__ import annotations

import re
from pathlib import Path

import pulumi_aws as aws

from components.common.web_acl import header_is_set

EDGE_FUNCTION = Path(__file__).parents[2] / "functions" / "edge" / "api_request.js"
"""Source of the CloudFront function. It contains the lists, because it can't read files."""


def edge_function() -> str:
    """The CloudFront function's code."""
    return EDGE_FUNCTION.read_text()


def reserved_headers() -> list[str]:
    """Headers that only the platform sets, in lower case."""
    return re.findall(r'"([a-z-]+)"', _defined(r"RESERVED = \[(.*?)\]"))


def ambiguous_path() -> str:
    """Pattern of paths that services could understand differently, for text in lower case."""
    return _defined(r"AMBIGUOUS = /(.*?)/i;").replace(r"\/", "/")


def _defined(pattern: str) -> str:
    found = re.search(pattern, edge_function(), re.DOTALL)
    if not found:
        raise ValueError(f"{EDGE_FUNCTION}: nothing matches {pattern}, which the web ACLs need")
    return found[1]


def refused_statements() -> dict[str, aws.wafv2.WebAclRuleStatementArgsDict]:
    """Statements for the rules of a web ACL that refuse such requests, by the rules' names."""
    return {
        "reserved-headers": {"or_statement": {"statements": [*map(header_is_set, reserved_headers())]}},
        "ambiguous-path": {
            "regex_match_statement": {
                "field_to_match": {"uri_path": {}},
                "regex_string": ambiguous_path(),
                "text_transformations": [{"priority": 0, "type": "LOWERCASE"}],
            }
        },
    }
