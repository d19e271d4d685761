"""How the tiers are wired: a function for each component, with the arguments that it takes from others.

`__main__.py` calls these functions in the order in which the tiers need each other. They are plain functions,
so a component's place in the resource tree is the one that its own module gives it.
"""
