"""Token authorizer: verifies an outside issuer's access token and says which routes it opens."""
