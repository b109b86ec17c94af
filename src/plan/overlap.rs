//! What plans could do to each other: back up backups, take another's backups for their own, or reach one place by two
//! names.
//!
//! Decided by beginnings of names, so in doubt it is an overlap. Keys of their own are no excuse: nobody here knows whether
//! two keys belong to two organisations.

use super::{Reported, Selectors, longer};
use crate::name::{BackupPrefix, MANUAL};
use crate::service::Region;

/// A source or a target, as far as it could be read.
#[derive(Debug)]
pub(super) struct End {
    /// What faults call it.
    pub(super) at: String,
    pub(super) region: Region,
    pub(super) base_url: Option<String>,
    pub(super) names: Names,
}

/// What an end has to do with names in its region.
#[derive(Debug)]
pub(super) enum Names {
    /// Nobody can tell: a fault has been reported instead.
    Unknown,
    /// A source: it takes what is selected.
    Taken(Selectors),
    /// A target: it owns backups of what its plan selects, under its prefix.
    Owned(BackupPrefix, Selectors),
}

impl Names {
    /// What a source takes.
    pub(super) fn taken(selectors: &Result<Selectors, Reported>) -> Self {
        match selectors {
            Ok(selectors) => Self::Taken(selectors.clone()),
            Err(Reported) => Self::Unknown,
        }
    }

    /// What a target owns.
    pub(super) fn owned(
        prefix: &Result<BackupPrefix, Reported>,
        selectors: &Result<Selectors, Reported>,
    ) -> Self {
        match (prefix, selectors) {
            (Ok(prefix), Ok(selectors)) => Self::Owned(prefix.clone(), selectors.clone()),
            _ => Self::Unknown,
        }
    }
}

impl End {
    /// `None` without a region: nothing can be said of it.
    pub(super) fn of(
        at: &str,
        region: &Result<Region, Reported>,
        base_url: &Result<String, Reported>,
        names: Names,
    ) -> Option<Self> {
        Some(Self {
            at: at.to_owned(),
            region: region.as_ref().ok()?.clone(),
            base_url: base_url.as_ref().ok().cloned(),
            names,
        })
    }
}

/// Two ends that must not be configured together, as indexes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Overlap {
    /// Two regions are reached at one address.
    OneAddress(usize, usize),
    /// The first, a source, would take the second's backups for namespaces to back up.
    BackupsOfBackups(usize, usize),
    /// Some name could be a backup of both.
    OneName(usize, usize),
}

/// Every overlap there is.
pub(super) fn overlaps(ends: &[End]) -> Vec<Overlap> {
    let mut found = Vec::new();
    for (at, one) in ends.iter().enumerate() {
        for (other_at, other) in ends.iter().enumerate() {
            if one.region == other.region && takes_backups(&one.names, &other.names) {
                found.push(Overlap::BackupsOfBackups(at, other_at));
            }
            if at >= other_at {
                continue;
            }
            if one.region == other.region && shared_beginning(&one.names, &other.names).is_some() {
                found.push(Overlap::OneName(at, other_at));
            }
            if one.region != other.region && same_address(one, other) {
                found.push(Overlap::OneAddress(at, other_at));
            }
        }
    }
    found
}

/// How both of two targets' backups could begin.
pub(super) fn shared_beginning(one: &Names, other: &Names) -> Option<String> {
    let (Names::Owned(prefix, own), Names::Owned(other_prefix, others)) = (one, other) else {
        return None;
    };
    let heads = heads(prefix);
    let other_heads = self::heads(other_prefix);
    heads
        .iter()
        .flat_map(|head| other_heads.iter().map(move |other| (head, other)))
        .find_map(|(head, other_head)| shared_below((head, own), (other_head, others)))
}

/// The same for what begins with one head each, such as `backup-` and `manual-backup-`.
fn shared_below(one: (&str, &Selectors), other: (&str, &Selectors)) -> Option<String> {
    let ((head, own), (other_head, others)) = (one, other);
    for prefix in own.prefixes() {
        for other_prefix in others.prefixes() {
            let (begins, other_begins) = (
                format!("{head}{prefix}"),
                format!("{other_head}{other_prefix}"),
            );
            let Some(shared) = longer(&begins, &other_begins) else {
                continue;
            };
            let excluded = |head: &str, selectors: &Selectors| {
                let source = shared.strip_prefix(head);
                source.is_some_and(|source| selectors.excludes_all_below(source))
            };
            if !excluded(head, own) && !excluded(other_head, others) {
                return Some(shared.to_owned());
            }
        }
    }
    None
}

/// Judged by the prefix alone, so also what the target's plan selected in former times is no source.
fn takes_backups(source: &Names, target: &Names) -> bool {
    match (source, target) {
        (Names::Taken(selectors), Names::Owned(prefix, _)) => heads(prefix)
            .iter()
            .any(|head| selectors.could_select_below(head)),
        _ => false,
    }
}

/// How scheduled and manual backups begin.
fn heads(prefix: &BackupPrefix) -> [String; 2] {
    let prefix = prefix.as_str();
    [prefix.to_owned(), format!("{MANUAL}{prefix}")]
}

fn same_address(one: &End, other: &End) -> bool {
    let address = |end: &End| {
        let url = reqwest::Url::parse(end.base_url.as_deref()?).ok()?;
        Some(url.as_str().trim_end_matches('/').to_owned())
    };
    address(one).is_some_and(|address_of_one| Some(address_of_one) == address(other))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::name::{BackupName, Class, Namespace};
    use crate::slot::Slot;

    fn selectors(prefixes: &[&str], exclusions: &[&str]) -> Selectors {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Selectors::new(texts(prefixes), texts(exclusions)).unwrap()
    }

    fn owned(prefix: &str, prefixes: &[&str], exclusions: &[&str]) -> Names {
        let prefix = BackupPrefix::parse(prefix).unwrap();
        Names::Owned(prefix, selectors(prefixes, exclusions))
    }

    #[test]
    fn two_targets_share_names_when_some_name_could_be_both_theirs() {
        for (one, other, shared) in [
            (
                owned("backup-", &["acme-"], &[]),
                owned("backup-", &["globex-"], &[]),
                None,
            ),
            (
                owned("backup-", &["acme-"], &[]),
                owned("backup-", &["acme-eu-"], &[]),
                Some("backup-acme-eu-"),
            ),
            (
                owned("backup-", &["acme-"], &["acme-eu-*"]),
                owned("backup-", &["acme-eu-"], &[]),
                None,
            ),
            (
                owned("backup-", &[""], &[]),
                owned("backup-eu-", &["acme-"], &[]),
                Some("backup-eu-acme-"),
            ),
            (
                owned("backup-", &[""], &["eu-*"]),
                owned("backup-eu-", &["acme-"], &[]),
                None,
            ),
            (
                owned("backup-", &[""], &["eu-b*"]),
                owned("backup-eu-", &["acme-"], &[]),
                Some("backup-eu-acme-"),
            ),
            (
                owned("backup-", &["acme-"], &[]),
                owned("other-", &["acme-"], &[]),
                None,
            ),
        ] {
            assert_eq!(
                shared_beginning(&one, &other).as_deref(),
                shared,
                "{one:?} {other:?}"
            );
        }
    }

    #[test]
    fn a_source_takes_backups_also_manual_ones_unless_it_leaves_them_out() {
        let backups = owned("backup-", &["acme-"], &[]);
        for (prefixes, exclusions, takes) in [
            (&["acme-"][..], &[][..], false),
            (&[""], &[], true),
            (&["back"], &[], true),
            (&["backup-acme-"], &[], true),
            (&["man"], &[], true),
            (&["manual-backup-globex-"], &[], true),
            (&[""], &["backup-*"], true),
            (&[""], &["backup-*", "manual-*"], false),
            (&[""], &["backup-a*", "manual-*"], true),
            (&[""], &["backup-", "manual-*"], true),
            (&[""], &["backup-?", "manual-*"], true),
            (&["backup-acme-", "acme-"], &["backup-acme-*"], false),
        ] {
            let source = Names::Taken(selectors(prefixes, exclusions));
            assert_eq!(
                takes_backups(&source, &backups),
                takes,
                "{prefixes:?} {exclusions:?}"
            );
        }
    }

    /// A target's backup of a source, if there can be one.
    fn name(target: &Names, class: Class, source: &str) -> Option<BackupName> {
        let Names::Owned(prefix, selectors) = target else {
            return None;
        };
        let source = Namespace::parse(source).filter(|source| selectors.selects(source.as_str()));
        BackupName::of(prefix, class, &source?, Slot::from_digits("1763690400")?).ok()
    }

    fn owns(target: &Names, text: &str) -> bool {
        let Names::Owned(prefix, selectors) = target else {
            return false;
        };
        BackupName::parse(prefix, text)
            .is_some_and(|name| selectors.selects(name.source().as_str()))
    }

    fn target() -> impl Strategy<Value = Names> {
        let prefix = "b(a-)?";
        let prefixes = prop::collection::vec("(b|a|-){0,3}", 1..3);
        let exclusions = prop::collection::vec("(b|a|-|\\?){0,3}\\*?", 0..2);
        (prefix, prefixes, exclusions).prop_map(|(prefix, prefixes, exclusions)| {
            let prefix = BackupPrefix::parse(&prefix).unwrap();
            Names::Owned(prefix, Selectors::new(prefixes, exclusions).unwrap())
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn no_name_belongs_to_two_targets_without_an_overlap(
            one in target(), other in target(), source in "(manual-)?[ab-]{1,5}", manual: bool,
        ) {
            let class = if manual { Class::Manual } else { Class::Scheduled };
            if let Some(name) = name(&one, class, &source) && owns(&other, name.namespace().as_str()) {
                prop_assert!(shared_beginning(&one, &other).is_some(), "{}", name);
                prop_assert!(shared_beginning(&other, &one).is_some(), "{}", name);
            }
        }

        #[test]
        fn no_source_takes_a_backup_without_an_overlap(
            target in target(), prefix in "[ab-]{0,4}", exclusion in "[ab?-]{0,3}\\*?", source in "[ab-]{1,5}", manual: bool,
        ) {
            let selectors = selectors(&[&prefix], &[&exclusion]);
            let class = if manual { Class::Manual } else { Class::Scheduled };
            if let Some(name) = name(&target, class, &source) && selectors.selects(name.namespace().as_str()) {
                prop_assert!(takes_backups(&Names::Taken(selectors), &target), "{}", name);
            }
        }
    }
}
