"""Rules that every deployment is held to: what AWS's security practice asks, and what we ask of ourselves."""
