//! What no backup of Zilliz Cloud contains (contract section 6), for whoever is about to restore and whoever has. Pure.

use super::asked::Destination;

/// What has to be set again, or is another, after a restore. The sizes are the source cluster's and that of the one that
/// receives it, in CU, where they are known.
#[must_use]
pub fn not_in_a_backup(
    destination: &Destination,
    (before, after): (Option<u64>, Option<u64>),
) -> Vec<String> {
    let mut missing = vec![
        "collection TTL is not in a backup: set it again on each collection that had one".to_owned(),
        "mmap settings may not be in a backup (one page of the documentation says so): look at them".to_owned(),
    ];
    match destination {
        Destination::NewCluster(_) => {
            missing.push("the user db_admin gets a new password, which the service tells once; the old one is not in a backup".to_owned());
            missing.push(
                "dynamic and scheduled scaling settings are not in a backup: set them again"
                    .to_owned(),
            );
        }
        Destination::Into(into) if into.collections.is_empty() => {
            missing.push(
                "without `collections` everything comes back unloaded: load what is to be searched"
                    .to_owned(),
            );
        }
        Destination::Into(_) => {}
    }
    missing.extend(after.and_then(|after| fewer_shards(before, after)));
    missing
}

/// What a smaller cluster does to shards (inferred for one that exists already); nothing when it is known not to be smaller.
fn fewer_shards(before: Option<u64>, after: u64) -> Option<String> {
    let most = shards_at(after);
    if let Some(before) = before {
        let before = shards_at(before);
        return (most < before).then(|| {
            format!(
                "the cluster that receives it is smaller: collections with more than {most} shards come back with {most} (up to {before} before)"
            )
        });
    }
    let most_of_all = shards_at(u64::MAX);
    (most < most_of_all).then(|| {
        format!(
            "collections with more than {most} shards come back with {most} in a cluster of this size; the original's size is not known"
        )
    })
}

/// The most shards that a collection has in a cluster of so many CU. Inferred between the documented sizes (1-2, 4-8, 12-64,
/// above): the fewer of the two.
fn shards_at(cu_size: u64) -> u64 {
    match cu_size {
        ..=3 => 2,
        4..=11 => 4,
        12..=64 => 8,
        _ => 16,
    }
}

#[cfg(test)]
mod tests {
    use super::super::asked::{IntoCluster, Loads, NewCluster};
    use super::*;

    fn of_new(cu_size: u64, before: Option<u64>) -> String {
        let new = NewCluster {
            name: "back".into(),
            cu_size: Some(cu_size),
            project: None,
            loads: Loads::Keep,
            version: None,
            password: None,
        };
        not_in_a_backup(&Destination::NewCluster(new), (before, Some(cu_size))).join("\n")
    }

    #[test]
    fn a_new_cluster_needs_its_settings_and_perhaps_its_shards_again() {
        let said = of_new(8, Some(8));
        for word in ["TTL", "db_admin", "scaling", "mmap"] {
            assert!(said.contains(word), "{word}: {said}");
        }
        for (cu_size, before, shards) in [
            (1, Some(8), Some("more than 2 shards")),
            (8, Some(64), Some("more than 4 shards")),
            (64, Some(128), Some("more than 8 shards")),
            (2, Some(1), None),
            (128, Some(256), None),
            (8, Some(8), None),
            (4, None, Some("more than 4 shards")),
            (65, None, None),
        ] {
            let said = of_new(cu_size, before);
            match shards {
                Some(shards) => assert!(said.contains(shards), "{cu_size} {before:?}: {said}"),
                None => assert!(!said.contains("shards"), "{cu_size} {before:?}: {said}"),
            }
        }
    }

    #[test]
    fn collections_have_no_password_and_no_scaling() {
        let into = |collections: &[&str], sizes: (Option<u64>, Option<u64>)| {
            let into = IntoCluster {
                cluster: "users".into(),
                collections: collections.iter().map(|one| one.parse().unwrap()).collect(),
                loaded: true,
            };
            not_in_a_backup(&Destination::Into(into), sizes).join("\n")
        };
        let same = (Some(8), Some(8));
        assert!(into(&["a"], same).contains("TTL") && !into(&["a"], same).contains("db_admin"));
        assert!(into(&[], same).contains("unloaded") && !into(&["a"], same).contains("unloaded"));
        for collections in [&["a"][..], &[]] {
            let smaller = into(collections, (Some(8), Some(1)));
            assert!(smaller.contains("more than 2 shards"), "{smaller}");
            for sizes in [same, (Some(1), Some(8)), (Some(8), None)] {
                let said = into(collections, sizes);
                assert!(!said.contains("shards"), "{sizes:?}: {said}");
            }
        }
    }
}
