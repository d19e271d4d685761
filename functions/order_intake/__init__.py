"""Order intake, which validates orders, makes them idempotent, and passes them to the order service."""
