"""What the components have in common: their base class, the context they are deployed in, and helpers."""
