//! Why an event can't be understood: the field, its value and the remedy, for whoever sent it.

use super::Action;
use super::fields::{ACTIONS, FIELDS};

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
    #[error("no plan is named and none is called `default`; name one of: {plans}")]
    NoPlanNamed {
        /// The plans that are configured.
        plans: String,
    },
    /// A field that would have been ignored.
    #[error("`{field}` {why}; leave it out")]
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
    #[error("`{field}` is {found}; {wanted}")]
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
        "a restore needs exactly one of `names`, `prefix` and `all`, and this one has {found}; as an event, send {{\"action\": \"restore\", \"all\": true}}, or name what is to be restored; with a plan of Zilliz Cloud, say `new_cluster` or `into`"
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
    #[error("plan `{plan}` has no target `{target}`; its targets are: {targets}")]
    UnknownTarget {
        /// The plan.
        plan: String,
        /// What was asked for.
        target: String,
        /// Those that there are.
        targets: String,
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

impl EventError {
    /// The same for whoever typed options, and no event.
    #[must_use]
    pub fn at_a_terminal(&self) -> String {
        match self {
            Self::WrongValue {
                field,
                found,
                wanted,
            } => format!("{} is {found}; {wanted}", option(field)),
            Self::Pointless { field, why } => format!("{} {why}; leave it out", option(field)),
            other => other.to_string(),
        }
    }
}

/// What a field is called on a command line.
fn option(field: &str) -> String {
    match field {
        "names" => "NAME".to_owned(),
        "collections" => "`--collection`".to_owned(),
        other => format!("`--{}`", other.replace('_', "-")),
    }
}
