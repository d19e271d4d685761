"""The stand-in for the `kubernetes` provider."""
