//! What a restore of clusters is asked for, and by what name the journal knows it. Pure.
//!
//! The same request again is the same restore: its identity is made of everything in it, and of nothing else.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::password::Place;
use crate::event::identity_of;
use crate::service::Region;

/// The database that has no name in backups.
const DEFAULT_DATABASE: &str = "default";

/// A restore as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Which backup.
    pub source: Source,
    /// What comes of it.
    pub destination: Destination,
}

/// Which backup: this one, or the newest of a cluster in a region at a point in time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Its id; then the rest is empty.
    pub backup: Option<String>,
    /// The cluster's id or name; `None` is the only one that the plan selects.
    pub cluster: Option<String>,
    /// Where the file lies; `None` is the cluster's own region.
    pub region: Option<Region>,
    /// The newest no later than this; `None` is the newest of all.
    pub at: Option<Timestamp>,
}

/// What comes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Destination {
    /// A whole backup becomes a cluster.
    NewCluster(NewCluster),
    /// Collections come into a cluster that exists.
    Into(IntoCluster),
}

/// A cluster that is to be made, in the backup's region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewCluster {
    /// Its name, unused in the project.
    pub name: String,
    /// Its size; without one nothing is begun.
    pub cu_size: Option<u64>,
    /// Its project; `None` is the backup's.
    pub project: Option<String>,
    /// Whether collections that were loaded are loaded again.
    pub loads: Loads,
    /// Its Milvus version; `None` leaves it to the service.
    pub version: Option<Version>,
    /// Where the one-time password goes; without a place nothing is begun.
    pub password: Option<Place>,
}

/// What becomes of loaded collections in a new cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loads {
    /// They are loaded again.
    Keep,
    /// Nothing is loaded.
    Release,
}

impl Loads {
    /// The service's word (contract section 6).
    #[must_use]
    pub fn sent(self) -> &'static str {
        match self {
            Self::Keep => "KEEP",
            Self::Release => "RELEASE",
        }
    }
}

/// The Milvus version of a new cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Version {
    /// The newest.
    Latest,
    /// The one that the backup was made on.
    Original,
}

impl Version {
    /// The service's word (contract section 6).
    #[must_use]
    pub fn sent(self) -> &'static str {
        match self {
            Self::Latest => "LATEST",
            Self::Original => "ORIGINAL",
        }
    }
}

/// A cluster that exists and receives collections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntoCluster {
    /// Its id or name.
    pub cluster: String,
    /// Which collections, and as what; empty is all that the backup has, under their own names and unloaded.
    pub collections: Vec<Rename>,
    /// Whether they are loaded once they are there.
    pub loaded: bool,
}

/// A collection of a backup, and what it is called in its destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rename {
    /// In the backup.
    pub from: Collection,
    /// In the destination.
    pub to: Collection,
}

/// A collection in a database.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Collection {
    /// Never empty: the default one is `default`.
    pub database: String,
    /// Its name.
    pub name: String,
}

/// A text that names no collection, or none to rename.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRename;

impl Collection {
    /// As answers tell it, in which the default database has no name.
    #[must_use]
    pub fn told(database: Option<&str>, name: &str) -> Self {
        Self {
            database: database.unwrap_or(DEFAULT_DATABASE).to_owned(),
            name: name.to_owned(),
        }
    }
}

impl fmt::Display for Collection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.database == DEFAULT_DATABASE {
            return f.write_str(&self.name);
        }
        write!(f, "{}.{}", self.database, self.name)
    }
}

impl FromStr for Collection {
    type Err = NoRename;

    fn from_str(text: &str) -> Result<Self, NoRename> {
        let legal = |part: &str| {
            let plain = |letter: char| !letter.is_whitespace() && !letter.is_control();
            !part.is_empty() && part.chars().all(plain) && !part.contains(['.', '='])
        };
        let (database, name) = match text.split_once('.') {
            Some((database, name)) => (Some(database), name),
            None => (None, text),
        };
        if !legal(name) || !database.is_none_or(legal) {
            return Err(NoRename);
        }
        Ok(Self::told(database, name))
    }
}

impl FromStr for Rename {
    type Err = NoRename;

    /// `collection`, `database.collection`, or either with `=` and what it is called in the destination.
    fn from_str(text: &str) -> Result<Self, NoRename> {
        let (from, to) = text.split_once('=').unwrap_or((text, text));
        Ok(Self {
            from: from.parse()?,
            to: to.parse()?,
        })
    }
}

impl fmt::Display for Rename {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.from, self.to)
    }
}

impl Asked {
    /// What tells this restore of a plan from every other, in the journal: no plan's name has a `.` in it.
    #[must_use]
    pub fn identity(&self, plan: &str) -> String {
        format!("{plan}.{}", identity_of(self))
    }

    /// Has the password shown on the terminal; `false` when there will be none. Only a door that is a terminal may ask for
    /// that.
    pub fn show_password(&mut self) -> bool {
        let Destination::NewCluster(new) = &mut self.destination else {
            return false;
        };
        new.password = Some(Place::Terminal);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renamed(text: &str) -> Option<String> {
        let rename: Rename = text.parse().ok()?;
        let full = |one: &Collection| format!("{}.{}", one.database, one.name);
        Some(format!("{} {}", full(&rename.from), full(&rename.to)))
    }

    #[test]
    fn a_collection_keeps_its_name_or_gets_another_and_without_a_database_it_is_the_default_one() {
        for (text, means) in [
            ("orders", "default.orders default.orders"),
            ("archive.old", "archive.old archive.old"),
            ("archive.old=older", "archive.old default.older"),
            ("orders=back.orders", "default.orders back.orders"),
            ("default.orders=orders", "default.orders default.orders"),
        ] {
            assert_eq!(renamed(text).as_deref(), Some(means), "{text}");
        }
        for text in [
            "", ".", "a.", ".a", "a.b.c", "a=", "=a", "a=b=c", "a b", "a=b c",
        ] {
            assert_eq!(renamed(text), None, "{text}");
        }
    }

    #[test]
    fn the_same_request_is_the_same_restore_and_another_is_another() {
        let into = |collections: &[&str]| Asked {
            source: Source::default(),
            destination: Destination::Into(IntoCluster {
                cluster: "users".into(),
                collections: collections.iter().map(|one| one.parse().unwrap()).collect(),
                loaded: false,
            }),
        };
        let one = into(&["a"]);
        let again: Asked = serde_json::from_value(serde_json::to_value(&one).unwrap()).unwrap();
        assert_eq!(again.identity("prod"), one.identity("prod"));
        assert_eq!(
            into(&["default.a=a"]).identity("prod"),
            one.identity("prod")
        );
        assert_ne!(into(&["a=b"]).identity("prod"), one.identity("prod"));
        assert_ne!(one.identity("test"), one.identity("prod"));
    }
}
