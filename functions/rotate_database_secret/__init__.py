"""Rotation of the database's master secret, called by Secrets Manager."""
