"""Scans a stack with Checkov, an external scanner.

It reads the AWS resources of the stack's state as a Terraform plan, and the Kubernetes objects as manifests.
"""
