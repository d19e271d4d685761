"""Tier 6, the services: the EKS cluster, its microservices, the cache and the tables."""
