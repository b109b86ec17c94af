//! How answers travel: the envelope, the codes, and how times are written.
//!
//! Success is 200 with code 0; so is a refusal, with another code, because that is how the service was seen to refuse.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value as Json, json};

use crate::call::Response;

/// The documented codes that the emulator answers with.
pub(crate) mod code {
    pub(crate) const CLOUD: u32 = 96000;
    pub(crate) const REGION: u32 = 96001;
    pub(crate) const CU_SIZE: u32 = 96002;
    pub(crate) const PROJECT: u32 = 96005;
    pub(crate) const TIME: u32 = 96007;
    pub(crate) const PAGE_SIZE: u32 = 96008;
    pub(crate) const CURRENT_PAGE: u32 = 96009;
    pub(crate) const CLUSTER_NAME: u32 = 96010;
    pub(crate) const OTHERS_PROJECT: u32 = 96012;
    pub(crate) const PROJECT_ROLE: u32 = 96013;
    pub(crate) const OTHERS_CLUSTER: u32 = 96014;
    pub(crate) const CLUSTER_ROLE: u32 = 96015;
    pub(crate) const CLUSTER_SCOPE: u32 = 96016;
    pub(crate) const NO_CLUSTER: u32 = 96018;
    pub(crate) const FREE: u32 = 96021;
    pub(crate) const SERVERLESS: u32 = 96022;
    pub(crate) const EMPTY_CLUSTER: u32 = 96025;
    pub(crate) const NO_JOB: u32 = 96026;
    pub(crate) const PROJECT_SCOPE: u32 = 96027;
    pub(crate) const ENTERPRISE: u32 = 96028;
    pub(crate) const BACKUP_TYPE: u32 = 96029;
    pub(crate) const CREATION_METHOD: u32 = 96030;
    pub(crate) const COLLECTION_STATUS: u32 = 96031;
    pub(crate) const FREQUENCY: u32 = 96032;
    pub(crate) const START_TIME: u32 = 96033;
    pub(crate) const RETENTION: u32 = 96034;
    pub(crate) const TIME_RANGE: u32 = 96035;
    pub(crate) const MALFORMED_CLUSTER: u32 = 96036;
    pub(crate) const TARGET_STATUS: u32 = 96037;
    pub(crate) const BACKUP_FAILED: u32 = 96038;
    pub(crate) const RESTORE_COLLECTION_FAILED: u32 = 96039;
    pub(crate) const RESTORE_CLUSTER_FAILED: u32 = 96040;
    /// Seen on the wire for a cluster name that is taken, where the table says 96017.
    pub(crate) const NAME_TAKEN: u32 = 40013;
    /// Seen on the wire.
    pub(crate) const KEY: u32 = 21119;
}

/// An answer that refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The HTTP status.
    pub(crate) status: u16,
    pub(crate) code: u32,
    pub(crate) message: String,
}

/// What an operation gives: what goes under `data`, or a refusal.
pub(crate) type Result<T = Json> = std::result::Result<T, Refusal>;

impl Refusal {
    /// A refusal by one of the documented codes. Unknown: whether any validation error has a status other than 200.
    pub(crate) fn new(code: u32, message: impl Into<String>) -> Self {
        Self {
            status: 200,
            code,
            message: message.into(),
        }
    }

    /// A missing, wrong or revoked key, as recorded.
    pub(crate) fn key() -> Self {
        Self {
            status: 401,
            code: code::KEY,
            message: "The apikey is illegal".to_owned(),
        }
    }

    /// Unknown: what the service says over its rate limit; the official client looks for the status 429 or these words.
    pub(crate) fn too_many() -> Self {
        Self::plain(429, "rate limit exceeded")
    }

    /// Unknown: how paths and methods that do not exist, and bodies that are no JSON, are refused.
    pub(crate) fn plain(status: u16, message: impl Into<String>) -> Self {
        Self {
            status,
            code: status.into(),
            message: message.into(),
        }
    }
}

impl From<Undocumented<'_>> for Refusal {
    fn from(condition: Undocumented<'_>) -> Self {
        let (code, message) = condition.choice();
        Self::new(code, message)
    }
}

/// Conditions for which no code is documented. The emulator's choice: clients must not rely on any of these.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Undocumented<'a> {
    NoBackup,
    StillCreating,
    SecondManualBackup,
    WhileAutomaticRuns,
    NoCollections,
    TwoDatabases,
    NoCollection(&'a str),
    CopyOnAzure,
    CopyToOtherCloud(&'a str),
    CopyHome(&'a str),
    CopyTwice(&'a str),
    CopyNeedsPlan,
    CopyToUnboundRegion(&'a str),
    CopyWithoutRegion,
    RegionsNeedPlan,
    RegionNotBound(&'a str),
    RegionInUse(&'a str),
    NoRegions,
    NoEnabled,
    NotAList(&'a str),
    NoIntegration,
}

impl Undocumented<'_> {
    fn choice(self) -> (u32, String) {
        let message = match self {
            Self::NoBackup => "Backup not found.".to_owned(),
            Self::StillCreating => "The backup is still being created.".to_owned(),
            Self::SecondManualBackup => {
                "A manual backup of this cluster is already pending or running.".to_owned()
            }
            Self::WhileAutomaticRuns => {
                "An automatic backup of this cluster is running.".to_owned()
            }
            Self::NoCollections => {
                "dbCollections must name at least one collection for backupType COLLECTION."
                    .to_owned()
            }
            Self::TwoDatabases => {
                "All collections of one backup must lie in one database.".to_owned()
            }
            Self::NoCollection(name) => format!("Collection {name} not found."),
            Self::CopyOnAzure => {
                "Cross-region backup is not available for clusters on Azure.".to_owned()
            }
            Self::CopyToOtherCloud(region) => {
                format!("Region {region} is on another cloud than the cluster.")
            }
            Self::CopyHome(region) => format!("Region {region} is the cluster's own region."),
            Self::CopyTwice(region) => {
                format!("Region {region} occurs twice in crossRegionCopies.")
            }
            Self::CopyNeedsPlan => {
                "Cross-region backup needs the Business Critical plan or BYOC.".to_owned()
            }
            Self::CopyToUnboundRegion(region) | Self::RegionNotBound(region) => {
                format!("Region {region} is not bound to the project.")
            }
            Self::CopyWithoutRegion => "crossRegionCopies needs a regionId each.".to_owned(),
            Self::RegionsNeedPlan => {
                "More than one region needs the Business Critical plan.".to_owned()
            }
            Self::RegionInUse(region) => {
                format!("Region {region} has clusters of the project.")
            }
            Self::NoRegions => "regionIds must name at least one region.".to_owned(),
            Self::NoEnabled => "enabled is required and must be a boolean.".to_owned(),
            Self::NotAList(field) => format!("{field} must be an array."),
            Self::NoIntegration => "integrationId is required.".to_owned(),
        };
        (code::BACKUP_FAILED, message)
    }
}

#[derive(Serialize)]
struct Envelope {
    code: u32,
    data: Json,
}

/// The whole answer. Always 0 for success: one official client does not take 200.
pub(crate) fn response(result: Result) -> Response {
    match result {
        Ok(data) => Response::json(200, &Envelope { code: 0, data }),
        Err(refusal) => Response::json(
            refusal.status,
            &json!({"code": refusal.code, "message": refusal.message}),
        ),
    }
}

/// The body of an injected fault. Unknown: what the service says over its rate limit; the official client looks for
/// the status 429 or these words.
pub(crate) fn injected(status: u16) -> Json {
    let message = match status {
        429 => "rate limit exceeded".to_owned(),
        _ => format!("injected fault {status}"),
    };
    json!({"code": status, "message": message})
}

/// A time as the service writes it: UTC, whole seconds.
pub(crate) fn stamp(at: Timestamp) -> String {
    whole(at).to_string()
}

/// The second that `at` lies in.
pub(crate) fn whole(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_whole_seconds() {
        let at: Timestamp = "2026-03-04T05:06:07.999Z".parse().unwrap();
        assert_eq!(stamp(at), "2026-03-04T05:06:07Z");
    }
}
