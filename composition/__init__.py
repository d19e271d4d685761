"""How the tiers are connected: a function for each component, which gets its arguments from other components.

`__main__.py` calls these functions in the order of the tiers' dependencies. They are plain functions and add
no level to the resource tree.
"""
