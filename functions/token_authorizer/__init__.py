"""Token authorizer, which verifies an external issuer's access tokens and returns the allowed routes."""
