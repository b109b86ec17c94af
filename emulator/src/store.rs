//! Namespaces and their rows, by organisation and region.
//!
//! Copies, branches and seeded namespaces share rows behind an `Arc` until one of them is written, so a million
//! namespaces cost little more than their names. Knows nothing of requests.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value as Json;

use crate::schema::Schema;
use crate::value::{Id, Row};

/// What the object store's keys end in; listings come in the order of the whole key, in which `a-b` precedes `a`.
pub(crate) const SUFFIX: &str = "-table/";

/// Where a namespace is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) organisation: String,
    pub(crate) region: String,
    pub(crate) name: String,
}

/// Documents and schema, shared between a source and its copies.
#[derive(Debug, Clone, Default)]
pub(crate) struct Data {
    pub(crate) rows: BTreeMap<Id, Arc<Row>>,
    pub(crate) schema: Schema,
    pub(crate) bytes: u64,
}

impl Data {
    /// Puts, replaces or (with `None`) removes one document.
    pub(crate) fn replace(&mut self, id: Id, row: Option<Arc<Row>>) {
        let id_bytes = id.bytes();
        let added = row.as_ref().map_or(0, |row| row.bytes() + id_bytes);
        let old = match row {
            Some(row) => self.rows.insert(id, row),
            None => self.rows.remove(&id),
        };
        let removed = old.map_or(0, |row| row.bytes() + id_bytes);
        self.bytes = self.bytes.saturating_add(added).saturating_sub(removed);
    }

    pub(crate) fn count(&self) -> u64 {
        u64::try_from(self.rows.len()).unwrap_or(u64::MAX)
    }
}

/// What few namespaces have.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Extra {
    /// A customer-managed key, in the v2 form.
    pub(crate) encryption: Option<Json>,
    pub(crate) replicas: Option<u64>,
    pub(crate) pinned_at: Option<Timestamp>,
    pub(crate) shards: Option<u64>,
}

/// One namespace.
#[derive(Debug, Clone)]
pub(crate) struct Namespace {
    pub(crate) data: Arc<Data>,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) last_write_at: Timestamp,
    pub(crate) read_only: bool,
    /// The half-written destination of a running or failed copy.
    pub(crate) half: bool,
    pub(crate) extra: Option<Box<Extra>>,
}

impl Namespace {
    pub(crate) fn new(data: Arc<Data>, now: Timestamp) -> Self {
        Self {
            data,
            created_at: now,
            updated_at: now,
            last_write_at: now,
            read_only: false,
            half: false,
            extra: None,
        }
    }

    pub(crate) fn extra(&self) -> Extra {
        self.extra.as_deref().cloned().unwrap_or_default()
    }

    pub(crate) fn set_extra(&mut self, extra: Extra) {
        self.extra = (extra != Extra::default()).then(|| Box::new(extra));
    }
}

/// One namespace as a test may look at it from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its name.
    pub name: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last written.
    pub updated_at: Timestamp,
    /// Whether it refuses writes.
    pub read_only: bool,
    /// Documents in it.
    pub rows: u64,
}

type Names = BTreeMap<Box<str>, Namespace>;

/// All namespaces.
#[derive(Debug, Default)]
pub(crate) struct Store {
    /// Organisation, then region, then object key.
    organisations: BTreeMap<String, BTreeMap<String, Names>>,
}

impl Store {
    fn names(&self, organisation: &str, region: &str) -> Option<&Names> {
        self.organisations.get(organisation)?.get(region)
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&Namespace> {
        self.names(&key.organisation, &key.region)?
            .get(object_key(&key.name).as_str())
    }

    pub(crate) fn get_mut(&mut self, key: &Key) -> Option<&mut Namespace> {
        self.organisations
            .get_mut(&key.organisation)?
            .get_mut(&key.region)?
            .get_mut(object_key(&key.name).as_str())
    }

    /// Puts a namespace and gives the one it replaces.
    pub(crate) fn put(&mut self, key: &Key, namespace: Namespace) -> Option<Namespace> {
        self.organisations
            .entry(key.organisation.clone())
            .or_default()
            .entry(key.region.clone())
            .or_default()
            .insert(object_key(&key.name).into_boxed_str(), namespace)
    }

    pub(crate) fn remove(&mut self, key: &Key) -> Option<Namespace> {
        self.organisations
            .get_mut(&key.organisation)?
            .get_mut(&key.region)?
            .remove(object_key(&key.name).as_str())
    }

    /// What stands in a region, by name.
    pub(crate) fn standing(&self, region: &str) -> Vec<Standing> {
        let regions = self
            .organisations
            .values()
            .filter_map(|regions| regions.get(region));
        let mut standing: Vec<Standing> = regions
            .flat_map(|names| names.iter())
            .filter_map(|(key, namespace)| seen(key, namespace))
            .collect();
        standing.sort_by(|one, other| one.name.cmp(&other.name));
        standing
    }

    /// Names that begin with `prefix`, after the object key `after`, in listing order.
    pub(crate) fn list<'a>(
        &'a self,
        (organisation, region): (&str, &str),
        prefix: &'a str,
        after: Option<&'a str>,
    ) -> impl Iterator<Item = &'a str> + use<'a> {
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        self.names(organisation, region)
            .into_iter()
            .flat_map(move |names| names.range::<str, _>((from, Bound::Unbounded)))
            .take_while(move |(key, _)| key.starts_with(prefix))
            .filter_map(move |(key, _)| name_with(key, prefix))
    }

    /// Names that begin with `prefix`, up to and with the object key `until`, in reverse listing order.
    pub(crate) fn list_back<'a>(
        &'a self,
        (organisation, region): (&str, &str),
        prefix: &'a str,
        until: &'a str,
    ) -> impl Iterator<Item = &'a str> + use<'a> {
        self.names(organisation, region)
            .into_iter()
            .flat_map(move |names| {
                names
                    .range::<str, _>((Bound::Unbounded, Bound::Included(until)))
                    .rev()
            })
            .take_while(move |(key, _)| &***key >= prefix)
            .filter_map(move |(key, _)| name_with(key, prefix))
    }
}

fn seen(key: &str, namespace: &Namespace) -> Option<Standing> {
    Some(Standing {
        name: key.strip_suffix(SUFFIX)?.to_owned(),
        created_at: namespace.created_at,
        updated_at: namespace.updated_at,
        read_only: namespace.read_only,
        rows: namespace.data.count(),
    })
}

/// The key under which the object store would hold a namespace.
pub(crate) fn object_key(name: &str) -> String {
    let mut key = String::with_capacity(name.len() + SUFFIX.len());
    key.push_str(name);
    key.push_str(SUFFIX);
    key
}

/// The name in an object key, if the name itself (not its suffix) begins with `prefix`.
fn name_with<'a>(key: &'a str, prefix: &str) -> Option<&'a str> {
    key.strip_suffix(SUFFIX)
        .filter(|name| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(names: &[&str]) -> Store {
        let mut store = Store::default();
        for name in names {
            let key = Key {
                organisation: "o".into(),
                region: "r".into(),
                name: (*name).into(),
            };
            store.put(&key, Namespace::new(Arc::default(), Timestamp::UNIX_EPOCH));
        }
        store
    }

    #[test]
    fn listings_come_in_the_order_of_object_keys() {
        let store = store(&["b", "a", "a-b", "ab"]);
        let list =
            |prefix: &'static str, after| store.list(("o", "r"), prefix, after).collect::<Vec<_>>();
        assert_eq!(list("", None), ["a-b", "a", "ab", "b"]);
        assert_eq!(list("a", Some("a-table/")), ["ab"]);
        assert_eq!(list("a-t", None), [""; 0]);
        let back: Vec<_> = store.list_back(("o", "r"), "a", "ab-table/").collect();
        assert_eq!(back, ["ab", "a", "a-b"]);
    }
}
