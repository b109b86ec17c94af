//! Which backups are surely those that a tier's request has made: the only ones that become the plan's own.
//!
//! What it must never do: call a backup the plan's own because it looks alike. Somebody who has one made by hand in the same
//! minute, with the same copies, must never lose it.

use std::collections::BTreeMap;

use crate::service::Region;
use crate::zilliz::wire::Backup;

/// The ids in every region that the tier whose original is `original` surely has. `described` are the cluster's backups
/// with their regions.
///
/// The original is known by the id that the service answered the request with. Unknown (contract section 3): what a copy
/// looks like; nothing links it to its original. Taken for one here: alone in its region to bear the original's name, which
/// the service makes up, and no older. Where copies should turn out to be named otherwise, they are found missing here,
/// are told, and stay for ever.
pub(super) fn surely_made<'a>(
    original: &str,
    home: &str,
    targets: impl Iterator<Item = &'a str>,
    described: &[Backup],
) -> BTreeMap<Region, String> {
    let made = |backup: &&Backup| {
        backup.creation_method.as_deref() == Some("MANUAL")
            && backup.backup_type.as_deref() == Some("CLUSTER")
            && backup.status.as_deref() == Some("AVAILABLE")
    };
    let original = described
        .iter()
        .filter(made)
        .find(|backup| backup.backup_id == original && backup.region_id.as_deref() == Some(home));
    let Some(original) = original else {
        return BTreeMap::new();
    };
    let alone_of_its_name = |region: &str| {
        let named = |backup: &&Backup| {
            backup.region_id.as_deref() == Some(region)
                && backup.backup_name.is_some()
                && backup.backup_name == original.backup_name
        };
        let mut named = described.iter().filter(named);
        named.next().filter(|_| named.next().is_none())
    };
    let in_region = |region: &str| {
        alone_of_its_name(home)?;
        let copy = alone_of_its_name(region).filter(made)?;
        (copy.create_time >= original.create_time)
            .then(|| (region.to_owned(), copy.backup_id.clone()))
    };
    let copies = targets.filter_map(in_region);
    copies
        .chain([(home.to_owned(), original.backup_id.clone())])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `id region minute name flags`: `a` automatic, `c` of collections, `b` being made.
    fn backup(told: &str) -> Backup {
        let told: Vec<&str> = told.split(' ').collect();
        let flags = told.get(4).copied().unwrap_or_default();
        let word = |flag: char, yes: &str, no: &str| {
            Some(if flags.contains(flag) { yes } else { no }.to_owned())
        };
        Backup {
            backup_id: told[0].into(),
            region_id: Some(told[1].into()),
            create_time: Some(
                format!("2026-11-22T02:{:0>2}:00Z", told[2])
                    .parse()
                    .unwrap(),
            ),
            backup_name: Some(told[3].to_owned()).filter(|name| name != "-"),
            creation_method: word('a', "AUTO", "MANUAL"),
            backup_type: word('c', "COLLECTION", "CLUSTER"),
            status: word('b', "CREATING", "AVAILABLE"),
            ..Backup::default()
        }
    }

    #[test]
    fn only_what_bears_the_originals_name_alone_is_surely_its_copy() {
        for (described, expected) in [
            (vec![], ""),
            (vec!["o home 5 x_1"], "home o"),
            (
                vec!["o home 5 x_1", "n near 6 x_1", "f far 7 x_1"],
                "far f, home o, near n",
            ),
            // Somebody else's, made in the same minute.
            (
                vec!["o home 5 x_1", "n near 6 x_2", "f far 5 x_1"],
                "far f, home o",
            ),
            (
                vec!["o home 5 x_1", "n near 6 x_1", "m near 6 x_1"],
                "home o",
            ),
            (vec!["o home 5 x_1", "n near 4 x_1"], "home o"),
            (vec!["o home 5 -", "n near 6 -"], "home o"),
            // Somebody renamed another one.
            (
                vec!["o home 5 x_1", "p home 2 x_1", "n near 6 x_1"],
                "home o",
            ),
            (
                vec!["o home 5 x_1", "n near 6 x_1 a", "f far 6 x_1 c"],
                "home o",
            ),
            (vec!["o home 5 x_1", "n near 6 x_1 b"], "home o"),
            // Without its original nothing is.
            (vec!["p home 5 x_1", "n near 6 x_1"], ""),
            (vec!["o near 5 x_1", "f far 6 x_1"], ""),
            (vec!["o home 5 x_1 a", "f far 6 x_1"], ""),
        ] {
            let backups: Vec<Backup> = described.iter().map(|told| backup(told)).collect();
            let made = surely_made("o", "home", ["near", "far"].into_iter(), &backups);
            let made: Vec<String> = made
                .iter()
                .map(|(region, id)| format!("{region} {id}"))
                .collect();
            assert_eq!(made.join(", "), expected, "{described:?}");
        }
    }
}
