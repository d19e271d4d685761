"""Questions to a real AWS account before a deployment, and the permissions that a deployment needs."""
