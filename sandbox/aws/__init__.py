"""Simulates AWS for the resources of `pulumi_aws`, based on AWS's published schemas."""
