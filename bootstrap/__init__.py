"""Prepares an account for the platform: the state's bucket and keys, the pipelines' roles, account-wide
settings."""
