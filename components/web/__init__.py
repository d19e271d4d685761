"""Tier 1, the web: CloudFront with the web app's bucket and the API as origins."""

from components.web.web import SignIn, Web, WebArgs

__all__ = ["SignIn", "Web", "WebArgs"]
