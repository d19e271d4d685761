"""The platform's tiers, a module each."""

from components import sdk_costs

# Here, because every import of a component runs this before it imports the SDK's modules.
sdk_costs.avoid()
