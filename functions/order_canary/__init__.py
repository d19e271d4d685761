"""The canary of the order path, which CloudWatch Synthetics runs."""
