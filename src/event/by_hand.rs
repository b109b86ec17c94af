//! What a manual backup of clusters is of: one cluster of the plan, or some of its collections, or all of the plan's.
//!
//! Fields of the action `backup` with `manual`, and for plans of Zilliz Cloud alone; anywhere else they are refused.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::json::{text, wrong};
use super::{EventError, identity_of};

/// The fields.
const FIELDS: [&str; 2] = ["cluster", "collections"];

/// Which cluster, and which of its collections; both left out means every cluster of the plan, whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByHand {
    /// Its id or its name.
    pub cluster: Option<String>,
    /// `collection`, or `database.collection`; all of one database.
    pub collections: Vec<String>,
}

impl ByHand {
    /// Takes a field in, if it is one of these.
    pub(super) fn read(&mut self, field: &str, value: &Value) -> Result<bool, EventError> {
        match field {
            "cluster" => {
                let wanted = "it should be the id or the name of one of the plan's clusters";
                self.cluster = Some(text("cluster", value, wanted)?);
            }
            "collections" => self.collections = collections(value)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// What tells it from every other of the same slot.
    #[must_use]
    pub fn identity(&self) -> String {
        identity_of(self)
    }

    /// The first field that was given.
    #[must_use]
    pub fn first_given(&self) -> Option<&'static str> {
        let given = [self.cluster.is_some(), !self.collections.is_empty()];
        let mut fields = FIELDS.into_iter().zip(given);
        fields.find(|(_, given)| *given).map(|(field, _)| field)
    }

    /// Refuses what would be ignored.
    pub(super) fn sensible(&self, manual: bool) -> Result<(), EventError> {
        match self.first_given().filter(|_| !manual) {
            Some(field) => Err(EventError::Pointless {
                field,
                why: "says what a backup by hand is of, and needs `\"manual\": true`",
            }),
            None => Ok(()),
        }
    }

    /// The database of the collections, and their names in it; `None` for the whole cluster.
    #[must_use]
    pub fn in_database(&self) -> Option<(Option<&str>, Vec<&str>)> {
        let split = |name: &'_ str| {
            name.split_once('.')
                .map(|(database, _)| database.to_owned())
        };
        let first = self.collections.first()?;
        let database = split(first)
            .and_then(|_| first.split_once('.'))
            .map(|(database, _)| database);
        let names = self
            .collections
            .iter()
            .map(|name| name.rsplit('.').next().unwrap_or(name));
        Some((database, names.collect()))
    }
}

fn collections(value: &Value) -> Result<Vec<String>, EventError> {
    let wanted = "it should be a list of collections of one database, each once, such as [\"orders\"] or [\"archive.orders\"]";
    let list = value.as_array().filter(|list| !list.is_empty());
    let mut collections: Vec<String> = Vec::new();
    for name in list.ok_or_else(|| wrong("collections", value, wanted))? {
        let name = text("collections", name, wanted)?;
        let database = |name: &str| {
            name.split_once('.')
                .map(|(database, _)| database.to_owned())
        };
        let other = collections
            .first()
            .is_some_and(|first| database(first) != database(&name));
        let legal = name.split('.').count() <= 2 && name.split('.').all(|part| !part.is_empty());
        if other || !legal || collections.contains(&name) {
            return Err(wrong("collections", value, wanted));
        }
        collections.push(name);
    }
    Ok(collections)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Request;
    use super::*;

    fn read(event: Value) -> Result<Request, String> {
        Request::from_event(&event.into()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_backup_by_hand_is_of_a_cluster_or_of_collections_of_one_database() {
        let event = json!({"manual": true, "cluster": "orders-prod", "collections": ["archive.old", "archive.older"]});
        let of = read(event).unwrap().by_hand;
        assert_eq!(of.cluster.as_deref(), Some("orders-prod"));
        assert_eq!(
            of.in_database(),
            Some((Some("archive"), vec!["old", "older"]))
        );
        let of = read(json!({"manual": true, "collections": ["orders"]}))
            .unwrap()
            .by_hand;
        assert_eq!(of.in_database(), Some((None, vec!["orders"])));
        assert_eq!(
            read(json!({"manual": true})).unwrap().by_hand.in_database(),
            None
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (event, says) in [
            (json!({"cluster": "orders-prod"}), "`cluster`"),
            (json!({"collections": ["x"]}), "`collections`"),
            (
                json!({"action": "restore", "all": true, "cluster": "x"}),
                "`cluster`",
            ),
            (json!({"action": "verify", "cluster": "x"}), "`cluster`"),
            (json!({"manual": true, "cluster": 7}), "`cluster`"),
            (json!({"manual": true, "collections": []}), "`collections`"),
            (
                json!({"manual": true, "collections": ["a", "a"]}),
                "each once",
            ),
            (
                json!({"manual": true, "collections": ["a.b.c"]}),
                "one database",
            ),
            (
                json!({"manual": true, "collections": ["a.b", "c"]}),
                "one database",
            ),
            (
                json!({"manual": true, "collections": ["a."]}),
                "one database",
            ),
        ] {
            let said = read(event.clone()).unwrap_err();
            assert!(said.contains(says), "{event}: {said}");
        }
    }
}
