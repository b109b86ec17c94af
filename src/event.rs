//! What is asked for: one [`Request`], read from any of the events that reach us.
//!
//! An EventBridge Scheduler input, the classic `Scheduled Event` envelope, or a person's test event; `{}` backs up the
//! default plan. A word we don't know is an error that names the nearest one we do, because an ignored `dry_run` deletes.

mod by_hand;
pub(crate) mod cluster_restore_fields;
mod drill_fields;
mod error;
mod fields;
mod identity;
mod json;
mod picked;
mod restore_fields;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use serde::Serialize;

use crate::drill;
use crate::plan::{Plan, Target};
use crate::restore::Asked;
use crate::zilliz;

pub use by_hand::ByHand;
pub use error::EventError;
pub(crate) use identity::identity_of;
pub(crate) use json::nearest;
pub use json::{Event, instant_of};
pub use picked::Picked;

use fields::ACTIONS;
use json::object;

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

    /// The plan that is meant, and which has the target that is asked for, before anything is done.
    pub fn choose<'a>(&self, plans: &'a [Plan]) -> Result<&'a Plan, EventError> {
        let plan = self.choose_plan(plans)?;
        if let Some(target) = &self.picked.target {
            Self::target_of(Some(target), plan)?;
        }
        Ok(plan)
    }

    fn choose_plan<'a>(&self, plans: &'a [Plan]) -> Result<&'a Plan, EventError> {
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
                        targets: names.join(", "),
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
}
