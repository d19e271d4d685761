"""Runs the program without an AWS account: with the real engine, a real Kubernetes API and simulated AWS."""
