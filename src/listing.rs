//! A listing is complete or unusable: read to its terminal cursor, nothing twice, nothing that was not asked for.
//!
//! Pages that repeat or loop would otherwise end in namespaces that are never backed up, or in backups judged without
//! their siblings.

use std::collections::HashSet;

use crate::service::{Service, ServiceError};

/// A page without names but with a cursor is legal at the very end; a long row of them is not an end in sight.
const MOST_EMPTY_PAGES: u32 = 3;

/// The proof, which only this module can make, that a listing's terminal cursor was seen and nothing came twice.
#[derive(Debug)]
pub struct ReadToTheEnd(());

impl ReadToTheEnd {
    /// The proof for a listing all of whose pages told of the same total: as many entries were shown, none of them twice.
    pub(crate) fn of_total(distinct: usize, shown: usize, total: usize) -> Option<Self> {
        (distinct == total && shown == total).then_some(Self(()))
    }
}

#[cfg(test)]
impl ReadToTheEnd {
    pub(crate) fn for_tests() -> Self {
        Self(())
    }
}

/// Every name that begins with one of the prefixes, sorted.
#[derive(Debug)]
pub struct CompleteListing {
    /// The names.
    pub names: Vec<String>,
    /// That there are no others.
    pub complete: ReadToTheEnd,
}

/// Why a listing can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListingError {
    /// A page could not be had.
    #[error("listing `{prefix}*` failed: {error}")]
    Service {
        /// What was listed.
        prefix: String,
        /// Why.
        error: ServiceError,
    },
    /// The invocation ends before the listing does.
    #[error("time ran out while {region} was listed; nothing was decided on what it had said")]
    OutOfTime {
        /// Where.
        region: String,
    },
    /// The pages don't lead to an end.
    #[error(
        "listing `{prefix}*` in {region} is not usable: {fault}; nothing was decided on it, the next run lists again"
    )]
    Broken {
        /// What was listed.
        prefix: String,
        /// Where.
        region: String,
        /// What was wrong.
        fault: String,
    },
}

impl ListingError {
    /// One short, stable word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Service { error, .. } => error.word(),
            Self::OutOfTime { .. } => "out_of_time",
            Self::Broken { .. } => "listing_broken",
        }
    }

    /// Whether the same listing may succeed a moment later, or with more time.
    #[must_use]
    pub fn passes(&self) -> bool {
        match self {
            Self::Service { error, .. } => error.passes(),
            Self::OutOfTime { .. } => true,
            Self::Broken { .. } => false,
        }
    }
}

/// Lists everything that begins with one of the prefixes. Prefixes that lie inside another are listed once.
pub async fn list_prefixes<S: Service>(
    service: &S,
    prefixes: &[String],
) -> Result<CompleteListing, ListingError> {
    let mut names = Vec::new();
    for prefix in outermost(prefixes) {
        names.extend(list_prefix(service, prefix).await?);
    }
    names.sort_unstable();
    Ok(CompleteListing {
        names,
        complete: ReadToTheEnd(()),
    })
}

/// The prefixes that are not covered by a shorter one.
fn outermost(prefixes: &[String]) -> Vec<&str> {
    let mut sorted: Vec<&str> = prefixes.iter().map(String::as_str).collect();
    sorted.sort_unstable();
    let mut kept: Vec<&str> = Vec::new();
    for prefix in sorted {
        if !kept.last().is_some_and(|outer| prefix.starts_with(outer)) {
            kept.push(prefix);
        }
    }
    kept
}

async fn list_prefix<S: Service>(
    service: &S,
    prefix: &str,
) -> Result<HashSet<String>, ListingError> {
    let mut names = HashSet::new();
    let mut cursors = HashSet::new();
    let mut cursor: Option<String> = None;
    let mut empty_pages = 0;
    loop {
        let page = service.list(prefix, cursor.as_deref()).await;
        let page = page.map_err(|error| ListingError::Service {
            prefix: prefix.into(),
            error,
        })?;
        empty_pages = if page.names.is_empty() {
            empty_pages + 1
        } else {
            0
        };
        for name in page.names {
            if !name.starts_with(prefix) {
                return Err(broken(
                    service,
                    prefix,
                    format!("it holds `{name}`, which was not asked for"),
                ));
            }
            if let Some(repeated) = names.replace(name) {
                return Err(broken(service, prefix, format!("`{repeated}` came twice")));
            }
        }
        let Some(next) = page.next else {
            return Ok(names);
        };
        if empty_pages > MOST_EMPTY_PAGES {
            return Err(broken(
                service,
                prefix,
                format!("{empty_pages} pages in a row were empty and promised more"),
            ));
        }
        if !cursors.insert(next.clone()) {
            return Err(broken(
                service,
                prefix,
                "a cursor came twice, so the pages loop".into(),
            ));
        }
        cursor = Some(next);
    }
}

fn broken<S: Service>(service: &S, prefix: &str, fault: String) -> ListingError {
    ListingError::Broken {
        prefix: prefix.into(),
        region: service.region().into(),
        fault,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_total_is_proof_only_of_as_many_entries_each_shown_once() {
        for (distinct, shown, total, proves) in [
            (0, 0, 0, true),
            (3, 3, 3, true),
            (2, 3, 3, false),
            (2, 2, 3, false),
            (3, 3, 2, false),
        ] {
            let proof = ReadToTheEnd::of_total(distinct, shown, total);
            assert_eq!(proof.is_some(), proves, "{distinct} {shown} {total}");
        }
    }

    #[test]
    fn a_prefix_inside_another_is_listed_once() {
        let prefixes = ["acme-eu-", "acme-", "zoo", "acme-"].map(String::from);
        assert_eq!(outermost(&prefixes), ["acme-", "zoo"]);
        assert_eq!(outermost(&[String::new(), "acme-".into()]), [""]);
    }
}
