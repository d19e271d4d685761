"""The canary of the order path, which runs in CloudWatch Synthetics."""
