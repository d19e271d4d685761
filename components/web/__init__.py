"""Tier 1, the web: CloudFront with two origins, the web app's bucket and the API."""

from components.web.web import SignIn, Web, WebArgs

__all__ = ["SignIn", "Web", "WebArgs"]
