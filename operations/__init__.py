"""Procedures for a running platform, as scripts: `docs/operations.md` says when to use which."""
