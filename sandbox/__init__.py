"""Runs the program with no AWS account: the real engine, a real Kubernetes API, stand-ins for the rest."""
