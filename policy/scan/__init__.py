"""Scans a stack with Checkov, an external scanner, which reads the stack's state as a Terraform plan."""
