"""Order intake: validates an order, makes it idempotent, and hands it to the order service."""
