"""Tier 8, the database: Aurora PostgreSQL behind a proxy, its global database, its master secret."""

from components.database.database import Database, DatabaseArgs, GlobalDatabase

__all__ = ["Database", "DatabaseArgs", "GlobalDatabase"]
