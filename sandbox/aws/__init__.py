"""The stand-in for AWS: what `pulumi_aws` registers, answered from AWS's published schemas."""
