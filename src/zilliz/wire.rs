//! Zilliz Cloud's JSON as it travels (contract sections 2 to 5), read leniently: what is absent, null or empty is none,
//! numbers may be texts, and words that nobody documented stay words.
//!
//! Nothing here decides anything.

use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// A region (`GET /v2/regions`).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RegionInfo {
    /// Such as `gcp`. Azure's is `azure`, though its regions begin with `az-`.
    pub cloud_id: String,
    /// Such as `gcp-us-west1`.
    pub region_id: String,
}

/// A project (`GET /v2/projects`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Project {
    /// Opaque.
    pub project_id: String,
    /// `Standard`, `Enterprise`, `BusinessCritical`.
    #[serde(deserialize_with = "text")]
    pub plan: Option<String>,
    /// `SAAS` or `BYOC`.
    #[serde(deserialize_with = "text")]
    pub org_type: Option<String>,
    /// Where its clusters may be and its copies may go; answers of 2025 don't say.
    pub region_ids: Option<Vec<String>>,
}

/// A cluster (`GET /v2/clusters`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Cluster {
    /// Opaque.
    pub cluster_id: String,
    /// The user's name for it.
    #[serde(deserialize_with = "text")]
    pub cluster_name: Option<String>,
    /// The project it is in.
    #[serde(deserialize_with = "text")]
    pub project_id: Option<String>,
    /// Where it runs.
    #[serde(deserialize_with = "text")]
    pub region_id: Option<String>,
    /// What is paid for.
    #[serde(deserialize_with = "text")]
    pub plan: Option<String>,
    /// `Free`, `Serverless`, `Dedicated`; older answers don't say.
    #[serde(deserialize_with = "text")]
    pub deployment_option: Option<String>,
    /// The kind of compute unit; only dedicated clusters have one.
    #[serde(deserialize_with = "text")]
    pub cu_type: Option<String>,
    /// `RUNNING` and many others.
    #[serde(deserialize_with = "text")]
    pub status: Option<String>,
    /// How large it is, in compute units.
    #[serde(deserialize_with = "number")]
    pub cu_size: Option<u64>,
    /// What it stores; a listing is not documented to tell it. Inferred: bytes, as all other sizes (contract section 2).
    #[serde(deserialize_with = "number")]
    pub storage_size: Option<u64>,
    /// How far its making is, in percent.
    #[serde(deserialize_with = "number")]
    pub create_progress: Option<u64>,
    /// When it was made; whole seconds.
    #[serde(deserialize_with = "time")]
    pub create_time: Option<Timestamp>,
}

impl Cluster {
    /// What people call it.
    #[must_use]
    pub fn shown(&self) -> &str {
        self.cluster_name.as_deref().unwrap_or(&self.cluster_id)
    }
}

/// A backup, of a listing or described. Only describing is documented to tell the region.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Backup {
    /// Opaque.
    pub backup_id: String,
    /// The service's name for it.
    #[serde(deserialize_with = "text")]
    pub backup_name: Option<String>,
    /// `CLUSTER` or `COLLECTION`.
    #[serde(deserialize_with = "text")]
    pub backup_type: Option<String>,
    /// `MANUAL` or `AUTO`.
    #[serde(deserialize_with = "text")]
    pub creation_method: Option<String>,
    /// Bytes.
    #[serde(deserialize_with = "number")]
    pub size: Option<u64>,
    /// When the service deletes it; none is never.
    #[serde(deserialize_with = "time")]
    pub expire_time: Option<Timestamp>,
    /// The cluster it is a backup of.
    #[serde(deserialize_with = "text")]
    pub cluster_id: Option<String>,
    /// Whole seconds.
    #[serde(deserialize_with = "time")]
    pub create_time: Option<Timestamp>,
    /// `CREATING`, `AVAILABLE`, `DELETED`.
    #[serde(deserialize_with = "text")]
    pub status: Option<String>,
    /// Where this file lies.
    #[serde(deserialize_with = "text")]
    pub region_id: Option<String>,
    /// What that cluster was called.
    #[serde(deserialize_with = "text")]
    pub cluster_name: Option<String>,
    /// The project of that cluster.
    #[serde(deserialize_with = "text")]
    pub project_id: Option<String>,
    /// `LATEST`, `ORIGINAL`: the versions that a new cluster may have.
    pub restore_new_instance_policies: Option<Vec<String>>,
    /// What is in it; only describing tells it.
    pub db_collections: Option<Vec<DescribedDatabase>>,
}

/// A database of a described backup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DescribedDatabase {
    /// None is the default one.
    #[serde(deserialize_with = "text")]
    pub db_name: Option<String>,
    /// Its collections.
    pub collections: Option<Vec<DescribedCollection>>,
}

/// A collection of a described backup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DescribedCollection {
    /// Its name.
    #[serde(deserialize_with = "text")]
    pub collection_name: Option<String>,
}

/// A policy as the service tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FoundPolicy {
    /// `ENABLED` or `DISABLED`.
    #[serde(deserialize_with = "text")]
    pub status: Option<String>,
    /// `HH:mm-HH:mm`, UTC.
    #[serde(deserialize_with = "text")]
    pub start_time: Option<String>,
    /// Weekdays from 1, Monday, such as `1,4`.
    #[serde(deserialize_with = "text")]
    pub frequency: Option<String>,
    /// Of the local file.
    #[serde(deserialize_with = "number")]
    pub retention_days: Option<u64>,
    /// A guide calls it otherwise (contract section 4): both are read.
    #[serde(alias = "crossRegionPolicies")]
    pub cross_region_copies: Option<Vec<FoundCopy>>,
}

/// One region of such a policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FoundCopy {
    /// Its id.
    #[serde(deserialize_with = "text")]
    pub region_id: Option<String>,
    /// How long copies stay there.
    #[serde(deserialize_with = "number")]
    pub retention_days: Option<u64>,
}

/// A policy as it is sent: every field, and always the whole array.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SentPolicy {
    /// Whether it runs.
    pub enabled: bool,
    /// Weekdays.
    pub frequency: String,
    /// The window.
    pub start_time: String,
    /// Of the local file.
    pub retention_days: u32,
    /// Of each copy.
    pub cross_region_copies: Vec<SentCopy>,
}

/// One region of a policy, or of a manual backup, which has no retention.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SentCopy {
    /// Where to.
    pub region_id: String,
    /// For how long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention_days: Option<u32>,
}

/// A job (`GET /v2/jobs/{jobId}`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Job {
    /// `PENDING`, `IN_PROGRESS`, `SUCCESSFUL`, `FAILED`, `CANCELING`, `CANCELED`.
    #[serde(deserialize_with = "text")]
    pub status: Option<String>,
    /// In percent.
    #[serde(deserialize_with = "number")]
    pub progress: Option<u64>,
    /// Why it failed.
    #[serde(deserialize_with = "text")]
    pub reason: Option<String>,
}

/// Jobs as the one documented listing shows them, that of Spark jobs (contract section 5).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct JobItems {
    /// A page of them.
    pub items: Vec<JobItem>,
}

/// One of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct JobItem {
    /// Opaque.
    pub job_id: String,
    /// As of a job.
    #[serde(deserialize_with = "text")]
    pub status: Option<String>,
    /// Where it works; of a copy, the target.
    #[serde(deserialize_with = "text")]
    pub region_id: Option<String>,
    /// Whole seconds.
    #[serde(deserialize_with = "time")]
    pub created_at: Option<Timestamp>,
}

/// What the request for a backup is answered with. Jobs of copies are not told.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Created {
    /// The backup.
    pub backup_id: String,
    /// The job that makes it.
    #[serde(default, deserialize_with = "text")]
    pub job_id: Option<String>,
}

/// A request for a backup by hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SentBackup {
    /// `CLUSTER` or `COLLECTION`.
    pub backup_type: &'static str,
    /// The collections, for the second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub db_collections: Option<Vec<SentCollections>>,
    /// Where copies go; the local backup is always made.
    pub cross_region_copies: Vec<SentCopy>,
}

/// Collections of one database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SentCollections {
    /// The default one if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub db_name: Option<String>,
    /// Their names.
    pub collection_names: Vec<String>,
}

/// A request for a new cluster of a backup (contract section 6). The guide calls the project otherwise; reference and clients
/// agree on this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SentRestore {
    /// Where the cluster goes.
    pub project_id: String,
    /// What it is called.
    pub cluster_name: String,
    /// 1 to 1024.
    pub cu_size: u64,
    /// `KEEP` or `RELEASE`.
    pub collection_status: &'static str,
    /// `LATEST` or `ORIGINAL`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restore_version_policy: Option<&'static str>,
}

/// What that request is answered with. It holds the password, so nothing ever prints the answer itself.
#[derive(Clone, Debug)]
pub struct RestoredCluster {
    /// The cluster.
    pub cluster_id: String,
    /// Its first user.
    pub username: String,
    /// Told once; none when the answer has no readable one.
    pub password: Option<SecretString>,
    /// The job that fills it.
    pub job_id: Option<String>,
}

impl RestoredCluster {
    /// Reads the answer by hand: serde's errors repeat the values that they can't read. `None` without a cluster.
    #[must_use]
    pub fn read(mut data: Value) -> Option<Self> {
        let mut text = |field: &str| match data.get_mut(field).map(Value::take) {
            Some(Value::String(text)) if !text.trim().is_empty() => Some(text),
            _ => None,
        };
        let password = text("password").map(SecretString::from);
        Some(Self {
            cluster_id: text("clusterId")?,
            username: text("username").unwrap_or_else(|| "db_admin".to_owned()),
            password,
            job_id: text("jobId"),
        })
    }
}

/// A request for collections of a backup in a cluster that exists (contract section 6).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SentCollectionRestore {
    /// The cluster that receives them.
    pub dest_cluster_id: String,
    /// One collection; none is all of the backup's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub db_collections: Option<[SentRenames; 1]>,
}

/// Collections of one database, and where they go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SentRenames {
    /// In the backup.
    pub db_name: String,
    /// In the destination.
    pub dest_db_name: String,
    /// The collection: one for each call, for now.
    pub collections: [SentRename; 1],
}

/// One collection and its name in the destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SentRename {
    /// In the backup.
    pub collection_name: String,
    /// In the destination.
    pub dest_collection_name: String,
    /// `LOADED` or `UNLOADED`.
    pub dest_collection_status: &'static str,
}

/// What a request for collections is answered with.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RestoringCollections {
    /// The job that brings them.
    #[serde(default, deserialize_with = "text")]
    pub job_id: Option<String>,
}

/// A text; null and empty are none.
fn text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    Ok(text.filter(|text| !text.trim().is_empty()))
}

/// A whole number, or a text that holds one.
fn number<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    let value = Option::<Value>::deserialize(from)?;
    Ok(match value {
        Some(Value::Number(number)) => number.as_u64(),
        Some(Value::String(text)) => text.trim().parse().ok(),
        _ => None,
    })
}

/// A time; what can't be read as one is none. `expireTime` of a permanent backup is unknown (contract section 3): null,
/// absent and empty are all "never".
fn time<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    Ok(text.and_then(|text| text.trim().parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_service_leaves_open_is_none() {
        for never in [r#","expireTime":null"#, r#","expireTime":"""#, ""] {
            let json = format!(
                r#"{{"backupId":"backup3_7","size":"12","createTime":"2026-03-04T05:06:07Z"{never},"new":1}}"#
            );
            let backup: Backup = serde_json::from_str(&json).unwrap();
            assert_eq!((backup.expire_time, backup.size), (None, Some(12)));
            assert!(backup.create_time.is_some());
        }
        let disabled = r#"{"status":"DISABLED","startTime":null,"frequency":null,"retentionDays":0,"crossRegionCopies":null}"#;
        let policy: FoundPolicy = serde_json::from_str(disabled).unwrap();
        assert_eq!(
            (policy.start_time, policy.cross_region_copies),
            (None, None)
        );
        let guide = r#"{"crossRegionPolicies":[{"regionId":"gcp-us-east4","retentionDays":5}]}"#;
        let policy: FoundPolicy = serde_json::from_str(guide).unwrap();
        assert_eq!(
            policy.cross_region_copies.unwrap()[0].retention_days,
            Some(5)
        );
    }

    #[test]
    fn an_answer_with_a_password_is_read_and_never_shown() {
        let whole = serde_json::json!({"clusterId": "in01-1", "username": "db_admin", "password": "pass-word", "jobId": "job-1"});
        let read = RestoredCluster::read(whole).unwrap();
        assert_eq!(
            (read.cluster_id.as_str(), read.job_id.as_deref()),
            ("in01-1", Some("job-1"))
        );
        assert!(read.password.is_some() && !format!("{read:?}").contains("pass-word"));
        let odd = serde_json::json!({"clusterId": "in01-1", "password": 7});
        assert!(RestoredCluster::read(odd).unwrap().password.is_none());
        assert!(RestoredCluster::read(serde_json::json!({"password": "pass-word"})).is_none());
    }
}
