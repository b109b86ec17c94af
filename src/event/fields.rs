//! The fields of an event, in an envelope of EventBridge or alone, read into a [`Request`].
//!
//! What it must never do: leave out a field that it does not know, or that the action would ignore.

use serde_json::{Map, Value};

use super::cluster_restore_fields::ClusterRestoreFields;
use super::drill_fields::{self, DrillFields};
use super::json::{instant, nearest, object, text, wrong, yes_or_no};
use super::restore_fields::RestoreFields;
use super::{Action, EventError, Request};

pub(super) const ACTIONS: [(&str, Action); 12] = [
    ("backup", Action::Backup),
    ("resume", Action::Resume),
    ("prune", Action::Prune),
    ("list", Action::List),
    ("jobs", Action::Jobs),
    ("check", Action::Check),
    ("estimate", Action::Estimate),
    ("verify", Action::Verify),
    ("seal", Action::Seal),
    ("discard", Action::Discard),
    ("restore", Action::Restore),
    ("drill", Action::Drill),
];
pub(super) const FIELDS: [&str; 34] = [
    "action",
    "plan",
    "scheduled_time",
    "dry_run",
    "manual",
    "approve",
    "names",
    "prefix",
    "newest",
    "all",
    "target",
    "level",
    "yes",
    "at",
    "as",
    "to",
    "verify",
    "to_api_key_secret",
    "to_encryption_key",
    "pick",
    "count",
    "share",
    "seed",
    "cluster",
    "collections",
    "backup",
    "from",
    "new_cluster",
    "cu_size",
    "project",
    "collection_status",
    "version",
    "password_secret",
    "into",
];
/// What EventBridge puts around a `detail`.
const ENVELOPE: [&str; 9] = [
    "version",
    "id",
    "detail-type",
    "source",
    "account",
    "time",
    "region",
    "resources",
    "detail",
];

impl Request {
    /// The classic envelope: its time is the slot, its detail (an object, or a string that holds one) the request.
    pub(super) fn from_envelope(envelope: &Map<String, Value>) -> Result<Self, EventError> {
        let text = |field: &str| {
            envelope
                .get(field)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        if text("detail-type") != "Scheduled Event" {
            return Err(EventError::ForeignEnvelope {
                detail_type: text("detail-type"),
                sender: text("source"),
            });
        }
        if let Some(beside) = envelope
            .keys()
            .find(|field| !ENVELOPE.contains(&field.as_str()))
        {
            return Err(EventError::BesideDetail(beside.clone()));
        }
        let mut request = match envelope.get("detail") {
            None | Some(Value::Null) => Self::default(),
            Some(Value::String(text)) if text.trim().is_empty() => Self::default(),
            Some(Value::String(text)) => {
                let detail: Value = serde_json::from_str(text).map_err(|_| {
                    wrong(
                        "detail",
                        &Value::from(text.as_str()),
                        "it should be a JSON object",
                    )
                })?;
                Self::from_fields(object(&detail)?)?
            }
            Some(detail) => Self::from_fields(object(detail)?)?,
        };
        if request.scheduled_time.is_none() {
            request.scheduled_time = envelope
                .get("time")
                .map(|time| instant("time", time))
                .transpose()?;
        }
        Ok(request)
    }

    pub(super) fn from_fields(fields: &Map<String, Value>) -> Result<Self, EventError> {
        let mut request = Self::default();
        let (mut of_restore, mut of_drill) = (RestoreFields::default(), DrillFields::default());
        let mut of_clusters = ClusterRestoreFields::default();
        if let Some(value) = fields.get("action") {
            request.action = action(value)?;
        }
        let (restores, drills) = (
            request.action == Action::Restore,
            request.action == Action::Drill,
        );
        for (field, value) in fields {
            match field.as_str() {
                "action" => {}
                "plan" => request.plan = Some(text("plan", value, "it should be a plan's name")?),
                "scheduled_time" => {
                    request.scheduled_time = Some(instant("scheduled_time", value)?);
                }
                "dry_run" => request.dry_run = yes_or_no("dry_run", value)?,
                "manual" => request.manual = yes_or_no("manual", value)?,
                "approve" => {
                    let wanted = "it should be the hash that a dry run printed";
                    request.approve = Some(text("approve", value, wanted)?);
                }
                other if restores && of_clusters.read(other, value)? => {}
                other if restores && of_restore.read(other, value)? => {}
                other if drills && of_drill.read(other, value)? => {}
                other if !restores && !drills && request.picked.read(other, value)? => {}
                other if !restores && !drills && request.by_hand.read(other, value)? => {}
                other if FIELDS.contains(&other) => return Err(misplaced(other, request.action)),
                unknown => {
                    let nearest = nearest(unknown, &FIELDS).unwrap_or("action");
                    return Err(EventError::UnknownField {
                        field: unknown.to_owned(),
                        nearest,
                    });
                }
            }
        }
        if restores && of_clusters.is_meant() {
            ClusterRestoreFields::refuse_others(fields)?;
            request.cluster_restore = Some(of_clusters.asked(fields)?);
        } else if restores {
            request.restore = Some(of_restore.asked()?);
        }
        if drills {
            request.drill = Some(of_drill.asked()?);
        }
        Ok(request)
    }
}

/// A field that the action would ignore.
fn misplaced(field: &str, action: Action) -> EventError {
    let field = FIELDS.into_iter().find(|known| *known == field);
    let field = field.unwrap_or("action");
    EventError::Pointless {
        field,
        why: match action {
            Action::Restore => "is not for the action `restore`",
            Action::Drill => "is not for the action `drill`",
            _ if drill_fields::FIELDS.contains(&field) => "is only for the action `drill`",
            _ => "is only for the action `restore`",
        },
    }
}

fn action(value: &Value) -> Result<Action, EventError> {
    let word = value
        .as_str()
        .ok_or_else(|| wrong("action", value, "it should be a word such as `backup`"))?;
    let known = ACTIONS.iter().find(|(name, _)| *name == word);
    known
        .map(|(_, action)| *action)
        .ok_or_else(|| EventError::UnknownAction {
            action: word.to_owned(),
            nearest: nearest(word, &ACTIONS.map(|(name, _)| name)).unwrap_or("backup"),
        })
}
