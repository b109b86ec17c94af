"""Recovery in the way of the vendor's page, in our own words. What it gets wrong is left wrong on purpose.

It takes the newest time that any backup's name ends in, and copies the backups that end in it to `recovered-…`.
"""

import os

import turbopuffer


def main() -> None:
    source = turbopuffer.Turbopuffer(region=os.environ["SOURCE_REGION"])
    target = turbopuffer.Turbopuffer(region=os.environ["BACKUP_REGION"])
    backup_prefix = os.environ["BACKUP_PREFIX"]
    backups = [namespace.id for namespace in target.namespaces(prefix=backup_prefix)]
    newest = max(int(name[-10:]) for name in backups)
    for name in backups:
        if int(name[-10:]) != newest:
            continue
        original = name[len(backup_prefix) : -len("-0000000000")]
        source.namespace(f"recovered-{original}").write(
            copy_from_namespace={"source_namespace": name, "source_region": str(target.region)}
        )


if __name__ == "__main__":
    main()
