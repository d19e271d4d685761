"""Prints the JSON Schema of the stack files: `python -m settings > settings.schema.json`."""

import json

from settings.schema import stack_schema

print(json.dumps(stack_schema(), indent=2))
