"""Checks an order service against the contract that order intake relies on (`docs/order-service.md`)."""
