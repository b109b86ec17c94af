//! Which backups an event is about, for the actions `verify`, `seal` and `discard`.
//!
//! What would be ignored is refused, and so is what changes backups by hand without a word that it is meant.

use serde_json::Value;

use super::json::{text, wrong, yes_or_no};
use super::{Action, EventError};
use crate::verify::Level;

/// The fields that only these actions read.
const FIELDS: [&str; 7] = ["names", "prefix", "newest", "all", "target", "level", "yes"];

/// Which backups, how closely they are looked at, and whether what follows is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Picked {
    /// These, by their whole names.
    pub names: Vec<String>,
    /// Those of the sources that begin like this.
    pub prefix: Option<String>,
    /// Only the newest of each source, which is also what no word about it means.
    pub newest: bool,
    /// All of them instead.
    pub all: bool,
    /// Only in this one of the plan's targets.
    pub target: Option<String>,
    /// How closely they are compared; `None` is the plan's level.
    pub level: Option<Level>,
    /// A person has read what will be done, and means it.
    pub yes: bool,
}

impl Picked {
    /// Takes a field in, if it is one of these.
    pub(super) fn read(&mut self, field: &str, value: &Value) -> Result<bool, EventError> {
        match field {
            "names" => self.names = names(value)?,
            "prefix" => {
                let wanted = "it should be what the sources' names begin with";
                self.prefix = Some(text("prefix", value, wanted)?);
            }
            "newest" => self.newest = yes_or_no("newest", value)?,
            "all" => self.all = yes_or_no("all", value)?,
            "target" => {
                self.target = Some(text("target", value, "it should be a target's name")?);
            }
            "level" => {
                let wanted = "it should be metadata, count, sample, sample:N or full";
                let level = text("level", value, wanted)?;
                self.level = Some(level.parse().map_err(|_| wrong("level", value, wanted))?);
            }
            "yes" => self.yes = yes_or_no("yes", value)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Refuses what the action would ignore, and what it may not do unasked.
    pub(super) fn sensible(&self, action: Action, dry_run: bool) -> Result<(), EventError> {
        let by_hand = matches!(action, Action::Seal | Action::Discard);
        let pointless = |field, why| Err(EventError::Pointless { field, why });
        if action != Action::Verify && !by_hand {
            return match self.first_given() {
                Some(field) => pointless(
                    field,
                    "is only for the actions that pick backups: `verify`, `seal`, `discard`, `restore`, `drill`",
                ),
                None => Ok(()),
            };
        }
        if by_hand && self.names.is_empty() {
            return Err(EventError::NobodyNamed { action });
        }
        if by_hand && (self.prefix.is_some() || self.newest || self.all) {
            return Err(EventError::NobodyNamed { action });
        }
        if !self.names.is_empty() && (self.prefix.is_some() || self.newest || self.all) {
            return pointless("names", "says already which backups are meant");
        }
        if self.newest && self.all {
            return pointless("newest", "is not `all`");
        }
        if (action, self.level) == (Action::Seal, Some(Level::Metadata)) {
            let wanted = "it should be count, sample, sample:N or full: `metadata` counts no row, which is too little to seal on";
            return Err(wrong("level", &Level::Metadata.to_string().into(), wanted));
        }
        if self.level.is_some() && action == Action::Discard {
            return pointless("level", "is for comparisons, and `discard` makes none");
        }
        if action == Action::Verify && self.yes {
            return pointless("yes", "confirms a change, and `verify` changes nothing");
        }
        if by_hand && !self.yes && !dry_run {
            return Err(EventError::NotConfirmed { action });
        }
        Ok(())
    }

    fn first_given(&self) -> Option<&'static str> {
        let given = [
            !self.names.is_empty(),
            self.prefix.is_some(),
            self.newest,
            self.all,
            self.target.is_some(),
            self.level.is_some(),
            self.yes,
        ];
        let mut fields = FIELDS.into_iter().zip(given);
        fields.find(|(_, given)| *given).map(|(field, _)| field)
    }
}

fn names(value: &Value) -> Result<Vec<String>, EventError> {
    let wanted = "it should be a list of backups' whole names, as `lifeboat list` shows them";
    let names = value.as_array().filter(|names| !names.is_empty());
    let names = names.ok_or_else(|| wrong("names", value, wanted))?;
    names
        .iter()
        .map(|name| text("names", name, wanted))
        .collect()
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
    fn backups_are_picked_by_name_prefix_or_age() {
        let all = json!({"action": "verify", "prefix": "acme-", "all": true, "level": "sample:50", "target": "frankfurt"});
        let picked = Picked {
            prefix: Some("acme-".into()),
            all: true,
            target: Some("frankfurt".into()),
            level: Some("sample:50".parse().unwrap()),
            ..Picked::default()
        };
        assert_eq!(read(all).unwrap().picked, picked);
        let name = "backup-acme-x-1763690400";
        let seal = read(json!({"action": "seal", "names": [name], "yes": true})).unwrap();
        assert_eq!(
            (seal.picked.names, seal.picked.yes),
            (vec![name.to_owned()], true)
        );
    }

    #[test]
    fn what_changes_backups_by_hand_needs_names_and_a_yes() {
        for action in ["seal", "discard"] {
            for (event, says) in [
                (
                    json!({"action": action, "yes": true}),
                    "needs the whole names",
                ),
                (
                    json!({"action": action, "all": true, "yes": true}),
                    "needs the whole names",
                ),
                (
                    json!({"action": action, "names": ["x"], "prefix": "a", "yes": true}),
                    "needs the whole names",
                ),
                (json!({"action": action, "names": ["x"]}), "\"yes\": true"),
                (json!({"action": action, "names": []}), "list of backups"),
                (json!({"action": action, "names": "x"}), "list of backups"),
                (json!({"action": action, "names": [7]}), "list of backups"),
            ] {
                let said = read(event.clone()).unwrap_err();
                assert!(said.contains(says), "{event}: {said}");
            }
            assert!(read(json!({"action": action, "names": ["x"], "dry_run": true})).is_ok());
        }
    }

    #[test]
    fn what_would_be_ignored_is_refused() {
        for (event, field) in [
            (json!({"names": ["x"]}), "names"),
            (json!({"action": "prune", "yes": true}), "yes"),
            (json!({"action": "list", "level": "full"}), "level"),
            (
                json!({"action": "verify", "names": ["x"], "all": true}),
                "names",
            ),
            (
                json!({"action": "verify", "newest": true, "all": true}),
                "newest",
            ),
            (json!({"action": "verify", "yes": true}), "yes"),
            (json!({"action": "verify", "dry_run": true}), "dry_run"),
            (json!({"action": "verify", "approve": "0123"}), "approve"),
            (json!({"action": "verify", "level": "most"}), "level"),
            (
                json!({"action": "seal", "names": ["x"], "level": "metadata", "yes": true}),
                "level",
            ),
            (
                json!({"action": "discard", "names": ["x"], "level": "full", "yes": true}),
                "level",
            ),
        ] {
            let said = read(event.clone()).unwrap_err();
            assert!(said.contains(&format!("`{field}`")), "{event}: {said}");
        }
    }
}
