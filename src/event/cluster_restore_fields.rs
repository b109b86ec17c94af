//! What an event asks to be restored of clusters of Zilliz Cloud: fields of the action `restore` that only their plans have.
//!
//! Exactly one of `new_cluster` and `into` says what comes of it. What can't be understood, or belongs to a restore of
//! turbopuffer, is refused by name. What the account alone can tell is told with everything else that is in the way.

use serde_json::{Map, Value};

use super::EventError;
use super::json::{instant, text, wrong};
use super::restore_fields::region;
use crate::restore::Which;
use crate::zilliz::restore::asked::{
    Asked, Destination, IntoCluster, Loads, NewCluster, Rename, Source, Version,
};
use crate::zilliz::restore::password::Place;

/// The fields that only these restores have; `at` is everybody's.
const FIELDS: [&str; 11] = [
    "backup",
    "cluster",
    "from",
    "new_cluster",
    "cu_size",
    "project",
    "collection_status",
    "version",
    "password_secret",
    "into",
    "collections",
];

/// Fields of a restore of turbopuffer, and what plays their part with clusters, if anything does.
const OTHERS: [(&str, &str); 9] = [
    (
        "names",
        "is for plans of turbopuffer; with a plan of Zilliz Cloud it is `cluster`, with `new_cluster` or `into`",
    ),
    (
        "prefix",
        "is for plans of turbopuffer; with a plan of Zilliz Cloud it is `cluster`, with `new_cluster` or `into`",
    ),
    (
        "all",
        "is for plans of turbopuffer; with a plan of Zilliz Cloud it is `cluster`, with `new_cluster` or `into`",
    ),
    (
        "as",
        "is for plans of turbopuffer; with a plan of Zilliz Cloud it is `new_cluster`, or `=` in `collections`",
    ),
    (
        "to",
        "is for plans of turbopuffer; with a plan of Zilliz Cloud a new cluster lies where its backup does, which `from` says",
    ),
    (
        "target",
        "is for plans of turbopuffer; with a plan of Zilliz Cloud it is `from`",
    ),
    (
        "verify",
        "is for plans of turbopuffer, whose backups can be compared",
    ),
    (
        "to_api_key_secret",
        "is for plans of turbopuffer; with a plan of Zilliz Cloud only `password_secret` names a secret",
    ),
    (
        "to_encryption_key",
        "is for plans of turbopuffer; a plan of Zilliz Cloud leaves encryption to the service",
    ),
];

/// The fields of a restore of clusters as they come.
#[derive(Default)]
pub(super) struct ClusterRestoreFields {
    given: Vec<&'static str>,
    source: Source,
    new_cluster: Option<String>,
    cu_size: Option<u64>,
    project: Option<String>,
    collection_status: Option<Status>,
    version: Option<Version>,
    password_secret: Option<String>,
    into: Option<String>,
    collections: Vec<Rename>,
}

/// Words that are for a new cluster, and words that are for one that exists.
#[derive(Clone, Copy)]
enum Status {
    Whole(Loads),
    Each { loaded: bool },
}

impl ClusterRestoreFields {
    /// Takes a field in, if only such a restore has it.
    pub(super) fn read(&mut self, field: &str, value: &Value) -> Result<bool, EventError> {
        let Some(field) = FIELDS.into_iter().find(|known| *known == field) else {
            return Ok(false);
        };
        self.given.push(field);
        let name = |wanted| text(field, value, wanted).map(Some);
        match field {
            "backup" => self.source.backup = name("it should be a backup's id")?,
            "cluster" => {
                self.source.cluster =
                    name("it should be the id or the name of the cluster that the backup is of")?;
            }
            "from" => self.source.region = Some(region(field, value)?),
            "new_cluster" => {
                self.new_cluster = name("it should be the name of the cluster that is made")?;
            }
            "cu_size" => {
                let wanted =
                    "it should be the new cluster's size in CU, a whole number from 1 to 1024";
                self.cu_size = Some(value.as_u64().ok_or_else(|| wrong(field, value, wanted))?);
            }
            "project" => self.project = name("it should be the id of the new cluster's project")?,
            "collection_status" => self.collection_status = Some(status(field, value)?),
            "version" => {
                let wanted = "it should be latest or original";
                self.version = Some(match text(field, value, wanted)?.as_str() {
                    "latest" => Version::Latest,
                    "original" => Version::Original,
                    _ => return Err(wrong(field, value, wanted)),
                });
            }
            "password_secret" => self.password_secret = Some(secret(field, value)?),
            "into" => {
                self.into = name(
                    "it should be the id or the name of the cluster that receives the collections",
                )?;
            }
            _ => self.collections = collections(field, value)?,
        }
        Ok(true)
    }

    /// Whether any field says that clusters are meant.
    pub(super) fn is_meant(&self) -> bool {
        !self.given.is_empty()
    }

    /// Refuses a field of turbopuffer's beside these.
    pub(super) fn refuse_others(fields: &Map<String, Value>) -> Result<(), EventError> {
        let other = OTHERS
            .into_iter()
            .find(|(field, _)| fields.contains_key(*field));
        match other {
            Some((field, why)) => Err(EventError::Pointless { field, why }),
            None => Ok(()),
        }
    }

    /// The restore that is meant.
    pub(super) fn asked(mut self, fields: &Map<String, Value>) -> Result<Asked, EventError> {
        if let Some(at) = fields.get("at") {
            self.given.push("at");
            self.source.at = Some(instant("at", at)?);
        }
        if self.source.backup.is_some() {
            let why = "says which backup is meant, and `backup` says that already";
            self.refuse(&["cluster", "from", "at"], why)?;
        }
        let source = std::mem::take(&mut self.source);
        let destination = match (self.new_cluster.take(), self.into.take()) {
            (Some(_), Some(_)) => {
                let why = "names a cluster that exists, and `new_cluster` one that is made";
                return Err(EventError::Pointless { field: "into", why });
            }
            (None, None) => {
                let field = self.given.first().copied().unwrap_or("cluster");
                let why = "is for a restore of clusters, which needs `new_cluster` or `into` to say what comes of it";
                return Err(EventError::Pointless { field, why });
            }
            (Some(name), None) => Destination::NewCluster(self.new_cluster(name)?),
            (None, Some(cluster)) => Destination::Into(self.existing(cluster)?),
        };
        Ok(Asked {
            source,
            destination,
        })
    }

    /// Refuses the first of these fields that is given.
    fn refuse(&self, fields: &[&'static str], why: &'static str) -> Result<(), EventError> {
        match fields.iter().find(|field| self.given.contains(field)) {
            Some(field) => Err(EventError::Pointless { field, why }),
            None => Ok(()),
        }
    }

    fn new_cluster(self, name: String) -> Result<NewCluster, EventError> {
        let why = "is for a restore `into` a cluster that exists; a new one gets the whole backup";
        self.refuse(&["collections"], why)?;
        let loads = match self.collection_status {
            None => Loads::Keep,
            Some(Status::Whole(loads)) => loads,
            Some(Status::Each { .. }) => {
                return Err(EventError::Pointless {
                    field: "collection_status",
                    why: "is loaded or unloaded for collections `into` a cluster that exists; for a new one it is keep or release",
                });
            }
        };
        Ok(NewCluster {
            name,
            cu_size: self.cu_size,
            project: self.project,
            loads,
            version: self.version,
            password: self.password_secret.map(Place::Secret),
        })
    }

    fn existing(self, cluster: String) -> Result<IntoCluster, EventError> {
        let why = "is for a `new_cluster`, and `into` names one that exists";
        self.refuse(&["cu_size", "project", "version", "password_secret"], why)?;
        let pointless = |why| EventError::Pointless {
            field: "collection_status",
            why,
        };
        let loaded = match self.collection_status {
            None => false,
            Some(Status::Each { loaded: true }) if self.collections.is_empty() => {
                return Err(pointless(
                    "can't be loaded without `collections`: all together come back unloaded",
                ));
            }
            Some(Status::Each { loaded }) => loaded,
            Some(Status::Whole(_)) => {
                return Err(pointless(
                    "is keep or release for a new cluster; for collections `into` one that exists it is loaded or unloaded",
                ));
            }
        };
        Ok(IntoCluster {
            cluster,
            collections: self.collections,
            loaded,
        })
    }
}

/// What is said of a restore of turbopuffer for a plan of Zilliz Cloud.
pub(crate) fn not_for_clusters(which: &Which) -> EventError {
    let field = match which {
        Which::Names(_) => "names",
        Which::Prefix(_) => "prefix",
        Which::All => "all",
    };
    let other = OTHERS.into_iter().find(|(known, _)| *known == field);
    let why = other.map_or("is for plans of turbopuffer", |(_, why)| why);
    EventError::Pointless { field, why }
}

/// What is said of a restore of clusters for a plan of turbopuffer.
pub(crate) fn only_for_clusters(asked: &Asked) -> EventError {
    let (field, why) = match &asked.destination {
        Destination::NewCluster(_) => (
            "new_cluster",
            "is for plans of Zilliz Cloud; with a plan of turbopuffer it is `as`, with `names`, `prefix` or `all`",
        ),
        Destination::Into(_) => (
            "into",
            "is for plans of Zilliz Cloud; with a plan of turbopuffer it is `to`, with `names`, `prefix` or `all`",
        ),
    };
    EventError::Pointless { field, why }
}

fn status(field: &'static str, value: &Value) -> Result<Status, EventError> {
    const WORDS: [(&str, Status); 4] = [
        ("keep", Status::Whole(Loads::Keep)),
        ("release", Status::Whole(Loads::Release)),
        ("loaded", Status::Each { loaded: true }),
        ("unloaded", Status::Each { loaded: false }),
    ];
    let wanted =
        "it should be keep or release for a new cluster, loaded or unloaded for collections";
    let word = text(field, value, wanted)?;
    let known = WORDS.iter().find(|(known, _)| *known == word);
    known
        .map(|(_, status)| *status)
        .ok_or_else(|| wrong(field, value, wanted))
}

/// The name of a secret, as Secrets Manager allows it.
fn secret(field: &'static str, value: &Value) -> Result<String, EventError> {
    let wanted = "it should be the name or ARN of a secret in Secrets Manager, which holds the new cluster's password afterwards";
    let text = text(field, value, wanted)?;
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"/_+=.@:-".contains(&byte);
    if text.len() > 2048 || !text.bytes().all(legal) {
        return Err(wrong(field, value, wanted));
    }
    Ok(text)
}

fn collections(field: &'static str, value: &Value) -> Result<Vec<Rename>, EventError> {
    let wanted = "it should be a list of collections, such as [\"orders\"], [\"archive.old\"] or, with another name, [\"archive.old=back.old\"]; without a database it is the default one";
    let list = value.as_array().filter(|list| !list.is_empty());
    let list = list.ok_or_else(|| wrong(field, value, wanted))?;
    let read = |one: &Value| {
        text(field, one, wanted)?
            .parse()
            .map_err(|_| wrong(field, value, wanted))
    };
    list.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Request;
    use super::*;

    fn read(mut event: Value) -> Result<Asked, String> {
        event["action"] = json!("restore");
        let request = Request::from_event(&event.into()).map_err(|error| error.to_string())?;
        assert_eq!(request.restore, None);
        Ok(request.cluster_restore.unwrap())
    }

    #[test]
    fn a_restore_of_clusters_is_read_with_all_that_it_may_say() {
        let asked = read(json!({
            "cluster": "orders-prod", "at": "2026-11-20T00:00:00Z", "from": "gcp-us-east4", "new_cluster": "orders-back",
            "cu_size": 8, "project": "proj-1", "collection_status": "release", "version": "original",
            "password_secret": "lifeboat/orders-back", "plan": "prod", "dry_run": true
        }));
        let expected = Asked {
            source: Source {
                backup: None,
                cluster: Some("orders-prod".into()),
                region: Some("gcp-us-east4".into()),
                at: Some("2026-11-20T00:00:00Z".parse().unwrap()),
            },
            destination: Destination::NewCluster(NewCluster {
                name: "orders-back".into(),
                cu_size: Some(8),
                project: Some("proj-1".into()),
                loads: Loads::Release,
                version: Some(Version::Original),
                password: Some(Place::Secret("lifeboat/orders-back".into())),
            }),
        };
        assert_eq!(asked, Ok(expected));
        let asked = read(json!({
            "backup": "backup3_7", "into": "users", "collections": ["archive.old=back.older"], "collection_status": "loaded"
        }));
        let Destination::Into(into) = asked.unwrap().destination else {
            panic!("no destination")
        };
        let renamed: Vec<String> = into.collections.iter().map(ToString::to_string).collect();
        assert_eq!(
            (into.cluster.as_str(), into.loaded, renamed),
            ("users", true, vec!["archive.old=back.older".to_owned()])
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        for (event, says) in [
            (json!({"cluster": "x"}), "`new_cluster` or `into`"),
            (json!({"new_cluster": "x", "into": "y"}), "`into`"),
            (json!({"into": "x", "cu_size": 1}), "`cu_size`"),
            (
                json!({"into": "x", "password_secret": "s"}),
                "`password_secret`",
            ),
            (
                json!({"into": "x", "collection_status": "keep"}),
                "loaded or unloaded",
            ),
            (
                json!({"into": "x", "collection_status": "loaded"}),
                "come back unloaded",
            ),
            (
                json!({"new_cluster": "x", "collections": ["a"]}),
                "`collections`",
            ),
            (
                json!({"new_cluster": "x", "collection_status": "loaded"}),
                "keep or release",
            ),
            (
                json!({"new_cluster": "x", "collection_status": "kept"}),
                "keep or release",
            ),
            (json!({"new_cluster": "x", "cu_size": "8"}), "1 to 1024"),
            (
                json!({"new_cluster": "x", "version": "newest"}),
                "latest or original",
            ),
            (
                json!({"new_cluster": "x", "password_secret": "a b"}),
                "a secret in Secrets Manager",
            ),
            (
                json!({"new_cluster": "x", "backup": "b", "at": "2026-11-20T00:00:00Z"}),
                "`at`",
            ),
            (
                json!({"new_cluster": "x", "backup": "b", "from": "gcp-us-east4"}),
                "`from`",
            ),
            (json!({"new_cluster": "x", "from": "Mars!"}), "a region"),
            (json!({"into": "x", "collections": []}), "a list"),
            (json!({"into": "x", "collections": ["a.b.c"]}), "a list"),
            // Words of the other provider, with what plays their part here.
            (
                json!({"new_cluster": "x", "names": ["a"]}),
                "it is `cluster`",
            ),
            (
                json!({"new_cluster": "x", "to": "gcp-us-east4"}),
                "which `from` says",
            ),
            (
                json!({"new_cluster": "x", "as": "{source}"}),
                "it is `new_cluster`",
            ),
            (json!({"new_cluster": "x", "verify": "full"}), "`verify`"),
            (json!({"new_clustre": "x"}), "did you mean `new_cluster`"),
            (json!({"new_cluster": "x", "yes": true}), "`yes`"),
            (
                json!({"new_cluster": "x", "scheduled_time": "2026-11-20T00:00:00Z"}),
                "`at`",
            ),
        ] {
            let said = read(event.clone()).unwrap_err();
            assert!(said.contains(says), "{event}: {said}");
        }
        let elsewhere = json!({"into": "x"});
        let said = Request::from_event(&elsewhere.into())
            .unwrap_err()
            .to_string();
        assert!(said.contains("only for the action `restore`"), "{said}");
    }
}
