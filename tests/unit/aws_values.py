"""AWS's lists of classes, node types, versions and zones, in the form of `settings/aws_values.json`.

Run `python -m tests.unit.aws_values > settings/aws_values.json` to update the file after an update of
cfn-lint, which contains the lists.
"""

from __future__ import annotations

import json
from importlib import metadata
from typing import Any, get_args

from sandbox.aws import cfn_lint
from settings import Region

SCHEMAS = cfn_lint.data() / "schemas"
DATABASE, CACHE = "aurora-postgresql", "valkey"
REGIONS = sorted(get_args(Region))


def document(path: str) -> dict[str, Any]:
    return json.loads((SCHEMAS / path).read_text())


def of_engine(node: dict[str, Any], engine: str, key: str) -> list[str]:
    """The values of a property that depend only on `Engine`, because the engine has no licence models."""
    found: list[str] = []
    for case in node["allOf"]:
        condition = case["if"]["properties"]
        if condition["Engine"].get("const") == engine and not condition.get("LicenseModel"):
            found += case["then"]["properties"].get(key, {}).get("enum", ())
    return found


def missing_in(by_region: dict[str, list[str]]) -> dict[str, list[str]]:
    """Value → the regions that do not have it."""
    values = sorted({value for values in by_region.values() for value in values})
    return {value: [region for region in by_region if value not in by_region[region]] for value in values}


def lists() -> dict[str, Any]:
    """The content of the file."""
    # Only here, because the import takes a second, and every test process imports this module.
    from cfnlint.helpers import AVAILABILITY_ZONES  # pyright: ignore[reportMissingTypeStubs]

    databases, caches = "extensions/aws_rds_dbinstance/", "extensions/aws_elasticache_cachecluster/"
    by_region = document(f"{databases}dbinstanceclass_enum.json")
    classes = {region: of_engine(by_region[region], DATABASE, "DBInstanceClass") for region in REGIONS}
    nodes = document(f"{caches}cachenodetype_enum.json")
    return {
        "source": f"cfn-lint {metadata.version('cfn-lint')}: AWS::RDS::DBInstance of {DATABASE} and "
        f"AWS::ElastiCache::CacheCluster of {CACHE} in data/schemas/extensions, zones in helpers.py",
        "date": document("version.json")["schema_date"][:10],
        "databaseVersions": of_engine(document(f"{databases}engine_version.json"), DATABASE, "EngineVersion"),
        "cacheVersions": of_engine(document(f"{caches}engine_version.json"), CACHE, "EngineVersion"),
        "zones": {region: AVAILABILITY_ZONES[region] for region in REGIONS},
        "databaseClasses": {
            name: regions for name, regions in missing_in(classes).items() if name != "db.serverless"
        },
        "cacheNodes": missing_in({region: nodes[region]["enum"] for region in REGIONS}),
    }


def text() -> str:
    """The text of the file."""
    return json.dumps(lists(), indent=1)


if __name__ == "__main__":
    print(text())
