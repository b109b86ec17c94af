//! API keys: whose they are, what they may do, and whether they still work.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::error::{ApiError, Result};

/// The organisation of every key while no table is set.
pub(crate) const DEFAULT_ORGANISATION: &str = "default";

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// Queries, metadata, schemas, being copied from.
    Read,
    /// Writes, copies into, deletes.
    Write,
    /// Listing.
    List,
    /// All of these.
    Admin,
}

impl Permission {
    fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::List => "list",
            Self::Admin => "admin",
        }
    }
}

/// One row of the table of keys.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// The key itself.
    pub key: String,
    /// The organisation whose namespaces it sees.
    pub organisation: String,
    /// What it may do.
    pub permissions: Vec<Permission>,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key")
            .field("key", &suffix(&self.key))
            .field("organisation", &self.organisation)
            .field("permissions", &self.permissions)
            .finish()
    }
}

/// The end of a key: enough to tell keys apart, useless to sign with.
pub(crate) fn suffix(key: &str) -> &str {
    let from = key.len().saturating_sub(4);
    if key.len() < 8 {
        return "";
    }
    key.get(from..).unwrap_or("")
}

#[derive(Debug, Default)]
pub(crate) struct Keys {
    table: BTreeMap<String, Key>,
    revoked: BTreeSet<String>,
}

impl Keys {
    pub(crate) fn set(&mut self, keys: Vec<Key>) {
        self.table = keys.into_iter().map(|key| (key.key.clone(), key)).collect();
        self.revoked.clear();
    }

    pub(crate) fn revoke(&mut self, key: &str) {
        self.revoked.insert(key.to_owned());
    }

    /// The table without the keys themselves.
    pub(crate) fn view(&self) -> serde_json::Value {
        let rows = self.table.values().map(|key| {
            serde_json::json!({
                "key_suffix": suffix(&key.key), "organisation": key.organisation, "permissions": key.permissions,
                "revoked": self.revoked.contains(&key.key),
            })
        });
        serde_json::json!({"keys": rows.collect::<Vec<_>>()})
    }

    /// The organisation of `key`, if it may do this.
    pub(crate) fn check(&self, key: &str, needed: Permission) -> Result<&str> {
        if key.is_empty() {
            return Err(ApiError::new(401, "🔑 missing API key"));
        }
        if self.revoked.contains(key) {
            return Err(ApiError::new(401, "🔑 invalid API key"));
        }
        if self.table.is_empty() {
            return Ok(DEFAULT_ORGANISATION);
        }
        let Some(known) = self.table.get(key) else {
            return Err(ApiError::new(401, "🔑 invalid API key"));
        };
        let holds = |permission| known.permissions.contains(&permission);
        if holds(needed) || holds(Permission::Admin) {
            return Ok(&known.organisation);
        }
        let message = format!("🔒 API key lacks the {} permission", needed.name());
        Err(ApiError::new(403, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_table_every_key_is_an_admin() {
        let mut keys = Keys::default();
        assert_eq!(keys.check("x", Permission::Write), Ok("default"));
        assert_eq!(keys.check("", Permission::Read).unwrap_err().status, 401);
        keys.revoke("x");
        assert_eq!(keys.check("x", Permission::Read).unwrap_err().status, 401);
    }

    #[test]
    fn with_a_table_keys_do_what_they_may() {
        let mut keys = Keys::default();
        keys.set(vec![Key {
            key: "tpuf_reader".into(),
            organisation: "org-a".into(),
            permissions: vec![Permission::Read],
        }]);
        assert_eq!(keys.check("tpuf_reader", Permission::Read), Ok("org-a"));
        assert_eq!(
            keys.check("tpuf_reader", Permission::Write)
                .unwrap_err()
                .status,
            403
        );
        assert_eq!(
            keys.check("other", Permission::Read).unwrap_err().status,
            401
        );
        assert!(!keys.view().to_string().contains("tpuf_reader"));
    }
}
