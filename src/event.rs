//! What is asked for: one [`Request`], read from any of the events that reach us.
//!
//! An EventBridge Scheduler input, the classic `Scheduled Event` envelope, or a person's test event; `{}` backs up the
//! default plan. A word we don't know is an error that names the nearest one we do, because an ignored `dry_run` deletes.

use std::fmt;

use jiff::Timestamp;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::drill;
use crate::plan::{Plan, Target};
use crate::restore::Asked;
use crate::zilliz;

mod by_hand;
pub(crate) mod comeback;
mod exercise;
mod picked;
mod wish;

pub use by_hand::ByHand;
use comeback::Comeback;
use exercise::Exercise;
pub use picked::Picked;
use wish::Wish;

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Copy, compare, seal, then prune.
    Backup,
    /// Go on with every run that an earlier invocation left open.
    Resume,
    /// Only prune.
    Prune,
    /// Show what stands and why; changes nothing.
    List,
    /// Show the jobs that the journal remembers.
    Jobs,
    /// Ask every region whether backups can work; changes nothing.
    Check,
    /// Tell what the next thirty nights copy, keep and cost; changes nothing.
    Estimate,
    /// Bring backups back as namespaces.
    Restore,
    /// Restore backups under scratch names, compare and time them, and delete the scratches.
    Drill,
    /// Compare backups with what they are backups of; changes nothing.
    Verify,
    /// Compare backups that somebody else made, and seal them on the user's word.
    Seal,
    /// Delete backups by name, on the user's word.
    Discard,
}

impl Action {
    /// The word that events use.
    #[must_use]
    pub fn word(self) -> &'static str {
        let known = ACTIONS.iter().find(|(_, action)| *action == self);
        known.map_or("backup", |(word, _)| word)
    }
}

const ACTIONS: [(&str, Action); 12] = [
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
const FIELDS: [&str; 34] = [
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

/// An event as it came: its JSON, and whether a field was given twice, which the JSON alone would hide.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    value: Value,
    repeated: Option<String>,
}

impl From<Value> for Event {
    fn from(value: Value) -> Self {
        Self {
            value,
            repeated: None,
        }
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Entries(entries) = match Either::deserialize(deserializer)? {
            Either::Fields(entries) => entries,
            Either::Other(value) => return Ok(value.into()),
        };
        let mut repeated = None;
        let mut object = Map::new();
        for (field, value) in entries {
            if object.insert(field.clone(), value).is_some() {
                repeated = Some(field);
            }
        }
        Ok(Self {
            value: Value::Object(object),
            repeated,
        })
    }
}

/// An object's fields in their order, or anything else.
#[derive(Deserialize)]
#[serde(untagged)]
enum Either {
    Fields(Entries),
    Other(Value),
}

struct Entries(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// What an event asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What to do.
    pub action: Action,
    /// For which plan; `None` is the only one, or the one called `default`, and every one for `resume` and `jobs`.
    pub plan: Option<String>,
    /// The scheduled instant; `None` means now.
    pub scheduled_time: Option<Timestamp>,
    /// Decide and show, but change nothing.
    pub dry_run: bool,
    /// Make backups that retention never looks at.
    pub manual: bool,
    /// The hash of a list of due backups that may be deleted, and no other.
    pub approve: Option<String>,
    /// Which backups are verified, sealed or discarded; for these actions and no other.
    pub picked: Picked,
    /// What is to be restored; for `restore` and nothing else.
    pub restore: Option<Asked>,
    /// What is to be drilled; for `drill` and nothing else.
    pub drill: Option<drill::Asked>,
    /// What a manual backup of clusters is of; for plans of Zilliz Cloud alone.
    pub by_hand: ByHand,
    /// What is to be restored of clusters; for `restore` with plans of Zilliz Cloud, and then in place of `restore`.
    pub cluster_restore: Option<zilliz::restore::asked::Asked>,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            action: Action::Backup,
            plan: None,
            scheduled_time: None,
            dry_run: false,
            manual: false,
            approve: None,
            picked: Picked::default(),
            restore: None,
            drill: None,
            by_hand: ByHand::default(),
            cluster_restore: None,
        }
    }
}

/// Why an event can't be understood. Nothing was done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// Not an object.
    #[error("the event is {0}, not a JSON object; send {{}} to back up the default plan")]
    NotAnObject(&'static str),
    /// A field given twice, of which one would have been ignored.
    #[error("the event's field `{0}` is given twice; say it once")]
    RepeatedField(String),
    /// One of our fields beside an envelope's `detail`, where nobody reads it.
    #[error(
        "the event is an envelope, and its field `{0}` is not part of one; put it inside `detail`"
    )]
    BesideDetail(String),
    /// A field that means nothing here.
    #[error("the event's field `{field}` is not known; did you mean `{nearest}`? Fields are: {}", FIELDS.join(", "))]
    UnknownField {
        /// The field.
        field: String,
        /// The nearest one we know.
        nearest: &'static str,
    },
    /// An action that does not exist.
    #[error("the action `{action}` is not known; did you mean `{nearest}`? Actions are: {}", ACTIONS.map(|(word, _)| word).join(", "))]
    UnknownAction {
        /// The action.
        action: String,
        /// The nearest one we know.
        nearest: &'static str,
    },
    /// A plan that is not configured.
    #[error("the plan `{plan}` is not configured; did you mean `{nearest}`?")]
    UnknownPlan {
        /// The plan.
        plan: String,
        /// The nearest one that is configured.
        nearest: String,
    },
    /// Several plans, and none of them named.
    #[error("the event names no plan and none is called `default`; name one of: {plans}")]
    NoPlanNamed {
        /// The plans that are configured.
        plans: String,
    },
    /// A field that would have been ignored.
    #[error("the event's field `{field}` {why}; leave it out, or send another event")]
    Pointless {
        /// The field.
        field: &'static str,
        /// Why it means nothing here.
        why: &'static str,
    },
    /// Backups that are to be changed by hand, and not named one by one.
    #[error(
        "`{}` needs the whole names of the backups it is for, and nothing else that picks them; name them in `names`, as `lifeboat list` shows them",
        action.word()
    )]
    NobodyNamed {
        /// The action.
        action: Action,
    },
    /// A change by hand, and no word that it is meant.
    #[error(
        "`{}` changes backups on your word: send \"dry_run\": true to see what it would do, and then \"yes\": true to have it done",
        action.word()
    )]
    NotConfirmed {
        /// The action.
        action: Action,
    },
    /// A field of another type, or without sense.
    #[error("the event's field `{field}` is {found}; {wanted}")]
    WrongValue {
        /// The field.
        field: &'static str,
        /// What it holds.
        found: String,
        /// What it should hold.
        wanted: &'static str,
    },
    /// A restore that does not say of what, or says it twice.
    #[error(
        "a restore needs exactly one of `names`, `prefix` and `all`, and the event has {found}; send {{\"action\": \"restore\", \"all\": true}}, or name what is to be restored; with a plan of Zilliz Cloud, say `new_cluster` or `into`"
    )]
    WhichSources {
        /// Those that it has.
        found: String,
    },
    /// A plan with several targets, and none is named.
    #[error(
        "plan `{plan}` has several targets ({targets}), each with backups of its own; say which one, in the field `target` or with --target"
    )]
    NoTargetNamed {
        /// The plan.
        plan: String,
        /// Its targets.
        targets: String,
    },
    /// An action that means nothing for clusters.
    #[error(
        "plan `{plan}` is of Zilliz Cloud, where `{}` is not available; its actions are backup, prune, list, restore, resume, jobs, check and estimate",
        action.word()
    )]
    NotForZilliz {
        /// The action.
        action: Action,
        /// The plan.
        plan: String,
    },
    /// Deletion, for clusters whose backups the service alone deletes.
    #[error(
        "plan `{plan}` is of Zilliz Cloud and has no `tiers`, so it deletes nothing and there is nothing to prune; its backups go when the service's retention ends"
    )]
    NothingToPrune {
        /// The plan.
        plan: String,
    },
    /// A target that the plan does not have.
    #[error("plan `{plan}` has no target `{target}`; did you mean `{nearest}`?")]
    UnknownTarget {
        /// The plan.
        plan: String,
        /// What was asked for.
        target: String,
        /// The nearest one.
        nearest: String,
    },
    /// A key or a region of the destination that can't be used.
    #[error("the restore's destination can't be used: {0}")]
    Destination(String),
    /// An envelope of EventBridge that carries something else than a schedule.
    #[error(
        "the event is a `{detail_type}` of `{sender}`, not a schedule; point the rule's target at a schedule, or send a constant input"
    )]
    ForeignEnvelope {
        /// Its `detail-type`.
        detail_type: String,
        /// Its `source`.
        sender: String,
    },
}

impl Request {
    /// Reads an event.
    pub fn from_event(event: &Event) -> Result<Self, EventError> {
        if let Some(field) = &event.repeated {
            return Err(EventError::RepeatedField(field.clone()));
        }
        let object = object(&event.value)?;
        let request = if object.contains_key("detail-type") {
            Self::from_envelope(object)?
        } else {
            Self::from_fields(object)?
        };
        request.sensible()
    }

    /// The plan that is meant, before anything is done.
    pub fn choose<'a>(&self, plans: &'a [Plan]) -> Result<&'a Plan, EventError> {
        let names: Vec<&str> = plans.iter().map(|plan| plan.name.as_str()).collect();
        let wanted = match (&self.plan, plans) {
            (Some(name), _) => name.as_str(),
            (None, [only]) => return Ok(only),
            (None, _) => "default",
        };
        if let Some(plan) = plans.iter().find(|plan| plan.name == wanted) {
            return Ok(plan);
        }
        Err(match &self.plan {
            None => EventError::NoPlanNamed {
                plans: names.join(", "),
            },
            Some(plan) => EventError::UnknownPlan {
                plan: plan.clone(),
                nearest: nearest(plan, &names).unwrap_or("default").to_owned(),
            },
        })
    }

    /// The place of the target that is meant among a plan's.
    pub fn target_of(asked: Option<&String>, plan: &Plan) -> Result<usize, EventError> {
        let names: Vec<&str> = plan
            .targets
            .iter()
            .map(|target| target.name.as_str())
            .collect();
        let of_name = |target: &Target| asked == Some(&target.name);
        match (asked, plan.targets.as_slice()) {
            (None, [_]) => Ok(0),
            (None, _) => Err(EventError::NoTargetNamed {
                plan: plan.name.clone(),
                targets: names.join(", "),
            }),
            (Some(target), targets) => {
                targets
                    .iter()
                    .position(of_name)
                    .ok_or_else(|| EventError::UnknownTarget {
                        plan: plan.name.clone(),
                        target: target.clone(),
                        nearest: nearest(target, &names).unwrap_or_default().to_owned(),
                    })
            }
        }
    }

    /// Refuses what would otherwise be ignored, because an ignored `dry_run` deletes.
    fn sensible(self) -> Result<Self, EventError> {
        let deletes = matches!(self.action, Action::Backup | Action::Prune) && !self.manual;
        let pointless = |field, why| Err(EventError::Pointless { field, why });
        if self.manual && self.action != Action::Backup {
            return pointless("manual", "is only for the action `backup`");
        }
        if self.approve.is_some() && !deletes {
            return pointless(
                "approve",
                "is only for events that delete: `prune`, or a `backup` that is not manual",
            );
        }
        if self.approve.is_some() && self.dry_run {
            return pointless(
                "approve",
                "approves deletions, and a dry run deletes nothing",
            );
        }
        if self.dry_run && matches!(self.action, Action::Resume | Action::Jobs) {
            return pointless("dry_run", "is not for the actions `resume` and `jobs`");
        }
        if self.dry_run && self.action == Action::Verify {
            return pointless("dry_run", "is not for `verify`, which changes nothing");
        }
        self.by_hand.sensible(self.manual)?;
        self.picked.sensible(self.action, self.dry_run)?;
        if self.scheduled_time.is_some() && self.action == Action::Restore {
            return pointless(
                "scheduled_time",
                "names what a backup makes; the point in time of a restore is `at`",
            );
        }
        Ok(self)
    }

    /// The classic envelope: its time is the slot, its detail (an object, or a string that holds one) the request.
    fn from_envelope(envelope: &Map<String, Value>) -> Result<Self, EventError> {
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

    fn from_fields(fields: &Map<String, Value>) -> Result<Self, EventError> {
        let mut request = Self::default();
        let (mut wish, mut exercise) = (Wish::default(), Exercise::default());
        let mut comeback = Comeback::default();
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
                other if restores && comeback.read(other, value)? => {}
                other if restores && wish.read(other, value)? => {}
                other if drills && exercise.read(other, value)? => {}
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
        if restores && comeback.is_meant() {
            Comeback::refuse_others(fields)?;
            request.cluster_restore = Some(comeback.asked(fields)?);
        } else if restores {
            request.restore = Some(wish.asked()?);
        }
        if drills {
            request.drill = Some(exercise.asked()?);
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
            _ if exercise::FIELDS.contains(&field) => "is only for the action `drill`",
            _ => "is only for the action `restore`",
        },
    }
}

fn object(value: &Value) -> Result<&Map<String, Value>, EventError> {
    let found = match value {
        Value::Object(object) => return Ok(object),
        Value::Null => "null",
        Value::Array(_) => "a list",
        Value::String(_) => "a text",
        Value::Bool(_) | Value::Number(_) => "a bare value",
    };
    Err(EventError::NotAnObject(found))
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

fn text(field: &'static str, value: &Value, wanted: &'static str) -> Result<String, EventError> {
    let text = value.as_str().filter(|text| !text.trim().is_empty());
    text.map(|text| text.trim().to_owned())
        .ok_or_else(|| wrong(field, value, wanted))
}

fn yes_or_no(field: &'static str, value: &Value) -> Result<bool, EventError> {
    value
        .as_bool()
        .ok_or_else(|| wrong(field, value, "it should be true or false, without quotes"))
}

fn instant(field: &'static str, value: &Value) -> Result<Timestamp, EventError> {
    let text = value.as_str().ok_or_else(|| {
        wrong(
            field,
            value,
            "it should be a time such as \"2026-11-21T02:00:00Z\"",
        )
    })?;
    text.trim().parse().map_err(|_| {
        let wanted = if text.contains("<aws.scheduler") {
            "EventBridge Scheduler fills this in, other senders don't: write a time such as \"2026-11-21T02:00:00Z\""
        } else {
            "it should be a time with its zone, such as \"2026-11-21T02:00:00Z\""
        };
        wrong(field, value, wanted)
    })
}

fn wrong(field: &'static str, value: &Value, wanted: &'static str) -> EventError {
    EventError::WrongValue {
        field,
        found: value.to_string(),
        wanted,
    }
}

pub(crate) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .copied()
        .min_by_key(|known| strsim::damerau_levenshtein(word, known))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(event: &Value) -> Result<Request, String> {
        Request::from_event(&event.clone().into()).map_err(|error| error.to_string())
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn an_empty_event_backs_up_the_default_plan() {
        assert_eq!(read(&json!({})), Ok(Request::default()));
    }

    #[test]
    fn a_schedulers_input_is_read() {
        let event = json!({"action": "prune", "plan": "default", "scheduled_time": "2026-11-21T02:00:00Z", "dry_run": true});
        let request = Request {
            action: Action::Prune,
            plan: Some("default".into()),
            dry_run: true,
            scheduled_time: Some(at("2026-11-21T02:00:00Z")),
            ..Request::default()
        };
        assert_eq!(read(&event), Ok(request));
        let berlin = json!({"scheduled_time": "2026-11-21T03:00:00+01:00"});
        assert_eq!(
            read(&berlin).unwrap().scheduled_time,
            Some(at("2026-11-21T02:00:00Z"))
        );
    }

    #[test]
    fn the_classic_envelope_gives_its_time_as_the_slot() {
        for detail in [json!({}), json!("{}"), json!("")] {
            let event = json!({
                "version": "0", "id": "53dc4d37", "detail-type": "Scheduled Event", "source": "aws.events",
                "account": "123456789012", "time": "2026-11-21T02:00:00Z", "region": "us-east-1",
                "resources": ["arn:aws:events:us-east-1:123456789012:rule/nightly"], "detail": detail
            });
            assert_eq!(
                read(&event).unwrap().scheduled_time,
                Some(at("2026-11-21T02:00:00Z"))
            );
        }
    }

    #[test]
    fn what_is_not_understood_is_refused_with_the_nearest_word() {
        for (event, says) in [
            (json!(null), "null"),
            (json!([]), "a list"),
            (json!("{}"), "a text"),
            (json!({"dryrun": true}), "did you mean `dry_run`"),
            (
                json!({"scheduledTime": "2026-11-21T02:00:00Z"}),
                "did you mean `scheduled_time`",
            ),
            (json!({"action": "bakcup"}), "did you mean `backup`"),
            (json!({"action": 7}), "`action` is 7"),
            (json!({"plan": null}), "`plan` is null"),
            (json!({"dry_run": "true"}), "without quotes"),
            (json!({"scheduled_time": "yesterday"}), "with its zone"),
            (
                json!({"scheduled_time": "2026-11-21T02:00:00"}),
                "with its zone",
            ),
            (
                json!({"scheduled_time": 1_763_690_400}),
                "it should be a time",
            ),
            (
                json!({"scheduled_time": "<aws.scheduler.scheduled-time>"}),
                "EventBridge Scheduler fills this in",
            ),
            (
                json!({"detail-type": "Object Created", "source": "aws.s3"}),
                "`Object Created` of `aws.s3`",
            ),
            (
                json!({"detail-type": "Scheduled Event", "detail": "nonsense"}),
                "JSON object",
            ),
            (
                json!({"detail-type": "Scheduled Event", "detail": {"dryrun": true}}),
                "did you mean `dry_run`",
            ),
        ] {
            let said = read(&event).unwrap_err();
            assert!(said.contains(says), "{event}: {said}");
        }
    }

    #[test]
    fn what_would_be_ignored_is_refused() {
        let twice: Event = serde_json::from_str(r#"{"dry_run": true, "dry_run": false}"#).unwrap();
        assert!(
            Request::from_event(&twice)
                .unwrap_err()
                .to_string()
                .contains("given twice")
        );
        let beside = json!({"detail-type": "Scheduled Event", "detail": {}, "dry_run": true});
        assert!(read(&beside).unwrap_err().contains("inside `detail`"));
    }

    #[test]
    fn what_an_action_would_ignore_is_refused() {
        for (event, says) in [
            (json!({"action": "prune", "manual": true}), "`manual`"),
            (json!({"action": "list", "approve": "0123"}), "`approve`"),
            (json!({"manual": true, "approve": "0123"}), "`approve`"),
            (json!({"approve": "0123", "dry_run": true}), "`approve`"),
            (json!({"action": "resume", "dry_run": true}), "`dry_run`"),
            (json!({"approve": ""}), "hash"),
            (json!({"approve": 7}), "hash"),
            (
                json!({"action": "backup", "as": "x"}),
                "only for the action `restore`",
            ),
            (
                json!({"action": "backup", "all": true}),
                "that pick backups",
            ),
            (
                json!({"action": "restore", "all": true, "yes": true}),
                "not for the action `restore`",
            ),
            (
                json!({"action": "restore", "all": true, "manual": true}),
                "`manual`",
            ),
            (
                json!({"action": "restore", "all": true, "approve": "01"}),
                "`approve`",
            ),
            (
                json!({"action": "restore", "all": true, "scheduled_time": "2026-11-21T02:00:00Z"}),
                "`at`",
            ),
        ] {
            let said = read(&event).unwrap_err();
            assert!(said.contains(says), "{event}: {said}");
        }
    }

    #[test]
    fn an_unnamed_plan_is_the_only_one_or_the_default() {
        let named = |name: &str| {
            let environment = [
                ("SOURCE_REGION", "aws-us-east-1"),
                ("BACKUP_REGION", "aws-eu-west-1"),
                ("SOURCE_PREFIX", "acme-"),
                ("TURBOPUFFER_API_KEY", "tpuf_abc"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
            let mut plan = crate::plan::Settings::from_environment(&environment)
                .unwrap()
                .plans
                .remove(0);
            plan.name = name.into();
            plan
        };
        let choose = |plan: Option<&str>, plans: &[Plan]| {
            let request = Request {
                plan: plan.map(str::to_owned),
                ..Request::default()
            };
            request
                .choose(plans)
                .map(|plan| plan.name.clone())
                .map_err(|error| error.to_string())
        };
        let (one, three) = (
            [named("nightly")],
            [named("nightly"), named("default"), named("weekly")],
        );
        assert_eq!(choose(None, &one), Ok("nightly".into()));
        assert_eq!(choose(None, &three), Ok("default".into()));
        assert_eq!(choose(Some("weekly"), &three), Ok("weekly".into()));
        assert!(
            choose(Some("weakly"), &three)
                .unwrap_err()
                .contains("`weekly`")
        );
        assert!(
            choose(None, &[named("a"), named("b")])
                .unwrap_err()
                .contains("a, b")
        );
    }
}
