"""Backups in the way of the vendor's page, in our own words. What it gets wrong is left wrong on purpose.

It copies every namespace with a prefix to another region, one after the other, under one label: the time of its start.
Then it deletes what is older than so many days, taking the last ten characters of any name for its time.
"""

import os
import time

import turbopuffer
from turbopuffer import Turbopuffer


def back_up(source: Turbopuffer, target: Turbopuffer, source_prefix: str, backup_prefix: str, now: int) -> None:
    for namespace in source.namespaces(prefix=source_prefix):
        target.namespace(f"{backup_prefix}{namespace.id}-{now}").write(
            copy_from_namespace={"source_namespace": namespace.id, "source_region": str(source.region)}
        )


def clean_up(target: Turbopuffer, backup_prefix: str, days: int, now: int) -> None:
    for namespace in target.namespaces(prefix=backup_prefix):
        try:
            made_at = int(namespace.id[-10:])
        except ValueError:
            continue
        if made_at < now - days * 24 * 60 * 60:
            target.namespace(namespace.id).delete_all()


def main() -> None:
    source = turbopuffer.Turbopuffer(region=os.environ["SOURCE_REGION"])
    target = turbopuffer.Turbopuffer(region=os.environ["BACKUP_REGION"])
    backup_prefix = os.environ["BACKUP_PREFIX"]
    assert backup_prefix, "without a prefix everything would be cleaned up"
    now = int(time.time())
    back_up(source, target, os.environ["SOURCE_PREFIX"], backup_prefix, now)
    clean_up(target, backup_prefix, int(os.environ["RETENTION_DAYS"]), now)


if __name__ == "__main__":
    main()
