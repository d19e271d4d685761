"""The platform's tiers, a module each."""
