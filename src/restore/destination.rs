//! What the restored namespaces would be called, and what speaks against it. Pure.
//!
//! All that speaks against it is found before the first request that changes something, and any of it stops everything.

use std::collections::BTreeMap;

use crate::name::{BackupName, Namespace, ScratchName};
use crate::plan::Plan;

use super::asked::Template;

/// Why a namespace can't be restored under a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// No namespace can be called like this.
    #[error(
        "`{name}` is no legal name: at most 128 letters, digits, `-`, `_` and `.`; choose a shorter --as (in an event `as`)"
    )]
    Illegal {
        /// What it would be called.
        name: String,
    },
    /// Another source would get the same name.
    #[error(
        "`{name}` would be the name of {other}, too; put `{{source}}` into --as (in an event `as`)"
    )]
    Shared {
        /// What both would be called.
        name: String,
        /// The other source.
        other: Namespace,
    },
    /// A plan would take it for one of its backups, and delete it one day.
    #[error(
        "`{name}` would look like a backup of plan `{plan}`, which might delete it one day; choose another --as (in an event `as`)"
    )]
    LooksLikeABackup {
        /// What it would be called.
        name: String,
        /// The plan.
        plan: String,
    },
    /// It would look like the scratch of a drill.
    #[error(
        "`{name}` would look like a drill's scratch, which is never backed up; choose another --as (in an event `as`)"
    )]
    LooksLikeAScratch {
        /// What it would be called.
        name: String,
    },
    /// It stands already.
    #[error(
        "`{name}` exists in {region}; nothing is ever overwritten: choose another --as (in an event `as`), or delete it yourself"
    )]
    Exists {
        /// The name.
        name: String,
        /// Where.
        region: String,
    },
}

impl Conflict {
    /// One short, stable word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Illegal { .. } => "illegal_name",
            Self::Shared { .. } => "shared_name",
            Self::LooksLikeABackup { .. } => "looks_like_a_backup",
            Self::LooksLikeAScratch { .. } => "looks_like_a_scratch",
            Self::Exists { .. } => "exists",
        }
    }
}

/// Names every source, or says what speaks against its name. `plans` are all that are configured, `region` is where the
/// names would stand.
pub fn name_all<'a>(
    template: &Template,
    sources: impl IntoIterator<Item = &'a Namespace>,
    plans: &[Plan],
    region: &str,
) -> Vec<(&'a Namespace, Result<Namespace, Conflict>)> {
    let mut names: BTreeMap<Namespace, &Namespace> = BTreeMap::new();
    let mut name_one = |source: &'a Namespace| {
        let name = template.name(source).ok_or_else(|| Conflict::Illegal {
            name: template.text(source),
        })?;
        if let Some(other) = names.insert(name.clone(), source) {
            return Err(Conflict::Shared {
                name: name.to_string(),
                other: other.clone(),
            });
        }
        if ScratchName::resembles(name.as_str()) {
            return Err(Conflict::LooksLikeAScratch {
                name: name.to_string(),
            });
        }
        match plans.iter().find(|plan| is_a_backup(plan, region, &name)) {
            Some(plan) => Err(Conflict::LooksLikeABackup {
                name: name.to_string(),
                plan: plan.name.clone(),
            }),
            None => Ok(name),
        }
    };
    let sources = sources.into_iter();
    sources.map(|source| (source, name_one(source))).collect()
}

/// Whether the plan keeps backups in this region that could be called like this.
fn is_a_backup(plan: &Plan, region: &str, name: &Namespace) -> bool {
    plan.targets
        .iter()
        .filter(|target| target.region == region)
        .any(|target| BackupName::parse(&target.prefix, name.as_str()).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Settings;

    const BACKUPS: &str = "aws-eu-west-1";
    const ELSEWHERE: &str = "aws-us-east-1";

    fn plans() -> Vec<Plan> {
        let environment = [
            ("SOURCE_REGION", ELSEWHERE),
            ("BACKUP_REGION", BACKUPS),
            ("SOURCE_PREFIX", "acme-"),
            ("TURBOPUFFER_API_KEY", "tpuf_abc"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        Settings::from_environment(&environment).unwrap().plans
    }

    fn words(template: &str, sources: &[&str], region: &str) -> Vec<&'static str> {
        let sources: Vec<Namespace> = sources
            .iter()
            .map(|source| Namespace::parse(source).unwrap())
            .collect();
        name_all(&template.parse().unwrap(), &sources, &plans(), region)
            .into_iter()
            .map(|(_, named)| named.map_or_else(|conflict| conflict.word(), |_| "fine"))
            .collect()
    }

    #[test]
    fn two_sources_never_share_a_name() {
        assert_eq!(
            words("same", &["acme-a", "acme-b"], ELSEWHERE),
            ["fine", "shared_name"]
        );
        assert_eq!(words("same", &["acme-a"], ELSEWHERE), ["fine"]);
        assert_eq!(
            words("{source}", &["acme-a", "acme-b"], ELSEWHERE),
            ["fine", "fine"]
        );
    }

    #[test]
    fn a_name_that_is_too_long_is_refused_and_never_cut() {
        let longest = "a".repeat(128);
        assert_eq!(
            words("recovered-{source}", &[&longest], ELSEWHERE),
            ["illegal_name"]
        );
        assert_eq!(words("{source}", &[&longest], ELSEWHERE), ["fine"]);
    }

    #[test]
    fn nothing_is_restored_under_a_name_that_retention_could_take_for_its_own() {
        for template in [
            "backup-{source}-1763690400",
            "manual-backup-{source}-1763690400",
        ] {
            assert_eq!(
                words(template, &["acme-a"], BACKUPS),
                ["looks_like_a_backup"]
            );
            assert_eq!(words(template, &["acme-a"], ELSEWHERE), ["fine"]);
        }
        assert_eq!(
            words("backup-{source}", &["acme-1763690400"], BACKUPS),
            ["looks_like_a_backup"]
        );
        let scratch = "lifeboat-drill-1763690400-{source}";
        assert_eq!(
            words(scratch, &["abcdefghijklmnopabcd"], ELSEWHERE),
            ["looks_like_a_scratch"]
        );
    }
}
