//! What an event asks to be drilled: the fields of the action `drill`.
//!
//! Without any it is one source drawn by lot, compared to the last bit. What can't be understood is refused.

use serde_json::Value;

use super::EventError;
use super::json::{text, wrong};
use super::restore_fields::region;
use crate::drill::{Amount, Asked, Pick, Share};
use crate::name::Namespace;
use crate::verify::Level;

/// The fields that only this action reads.
pub(super) const FIELDS: [&str; 4] = ["pick", "count", "share", "seed"];

/// The fields of a drill as they come.
#[derive(Default)]
pub(super) struct DrillFields {
    names: Option<Vec<String>>,
    oldest: Option<bool>,
    count: Option<u32>,
    share: Option<Share>,
    asked: Asked,
}

impl DrillFields {
    /// Takes a field in, if it is one of a drill's.
    pub(super) fn read(&mut self, field: &str, value: &Value) -> Result<bool, EventError> {
        match field {
            "names" => self.names = Some(names(value)?),
            "pick" => {
                self.oldest = Some(match value.as_str() {
                    Some("oldest") => true,
                    Some("random") => false,
                    _ => return Err(wrong("pick", value, "it should be random or oldest")),
                });
            }
            "count" => {
                let wanted = "it should be a whole number of sources, at least 1";
                let count = value.as_u64().and_then(|count| u32::try_from(count).ok());
                let count = count.filter(|count| *count > 0);
                self.count = Some(count.ok_or_else(|| wrong("count", value, wanted))?);
            }
            "share" => {
                let wanted = "it should be a share of the sources such as \"5%\" or \"0.5%\"";
                let share = text("share", value, wanted)?;
                let share = share.parse().map_err(|_| wrong("share", value, wanted))?;
                self.share = Some(share);
            }
            "seed" => {
                let wanted =
                    "it should be a whole number that is not negative, as a drill's report says it";
                let seed = value.as_u64().ok_or_else(|| wrong("seed", value, wanted))?;
                self.asked.seed = Some(seed);
            }
            "to" => self.asked.to = Some(region("to", value)?),
            "verify" => {
                let wanted = "it should be count, sample, sample:N or full";
                let level = text("verify", value, wanted)?;
                let level: Level = level.parse().map_err(|_| wrong("verify", value, wanted))?;
                if level == Level::Metadata {
                    return Err(wrong("verify", value, wanted));
                }
                self.asked.level = level;
            }
            "target" => {
                let target = text("target", value, "it should be a target's name")?;
                self.asked.target = Some(target);
            }
            "to_encryption_key" => {
                let wanted = "it should be `default`, or a key's ARN or resource name";
                self.asked.to_encryption_key = Some(text("to_encryption_key", value, wanted)?);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The drill that is meant. What would be ignored is refused.
    pub(super) fn asked(self) -> Result<Asked, EventError> {
        let pointless = |field, why| Err(EventError::Pointless { field, why });
        let amount = match (self.count, self.share) {
            (Some(_), Some(_)) => return pointless("share", "is not `count`"),
            (Some(count), None) => Some(Amount::Count(count)),
            (None, Some(share)) => Some(Amount::Share(share)),
            (None, None) => None,
        };
        let one = Amount::Count(1);
        let pick = match (self.names, self.oldest) {
            (Some(_), Some(_)) => {
                return pointless("pick", "draws sources, and `names` says already which");
            }
            (Some(names), None) => Pick::Names(names),
            (None, Some(true)) => Pick::Oldest(amount.unwrap_or(one)),
            (None, Some(false) | None) => Pick::Random(amount.unwrap_or(one)),
        };
        match (&pick, amount, self.asked.seed) {
            (Pick::Names(_), Some(Amount::Count(_)), _) => pointless(
                "count",
                "is for sources that are picked, and `names` says already which",
            ),
            (Pick::Names(_), Some(Amount::Share(_)), _) => pointless(
                "share",
                "is for sources that are picked, and `names` says already which",
            ),
            (Pick::Names(_) | Pick::Oldest(_), _, Some(_)) => {
                pointless("seed", "is for sources that are picked at random")
            }
            _ => Ok(Asked { pick, ..self.asked }),
        }
    }
}

fn names(value: &Value) -> Result<Vec<String>, EventError> {
    let wanted = "it should be a list of namespaces' names, or of backups' whole names, each once";
    let list = value.as_array().filter(|list| !list.is_empty());
    let mut names: Vec<String> = Vec::new();
    for name in list.ok_or_else(|| wrong("names", value, wanted))? {
        let name = name.as_str().and_then(Namespace::parse);
        let name = name.ok_or_else(|| wrong("names", value, wanted))?;
        if names.contains(&name.to_string()) {
            return Err(wrong("names", value, wanted));
        }
        names.push(name.to_string());
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Action, Request};
    use super::*;

    fn read(mut event: Value) -> Result<Request, String> {
        event["action"] = json!("drill");
        Request::from_event(&event.into()).map_err(|error| error.to_string())
    }

    fn pick(event: Value) -> Pick {
        read(event).unwrap().drill.unwrap().pick
    }

    #[test]
    fn a_drill_that_says_nothing_is_one_source_by_lot_to_the_last_bit() {
        let request = read(json!({})).unwrap();
        assert_eq!(request.action, Action::Drill);
        let asked = request.drill.unwrap();
        assert_eq!(asked, Asked::default());
        assert_eq!(
            (asked.level, asked.pick),
            (Level::Full, Pick::Random(Amount::Count(1)))
        );
    }

    #[test]
    fn a_drill_is_read_with_all_that_it_may_say() {
        let event = json!({
            "plan": "nightly", "pick": "random", "share": "5%", "seed": 7, "to": "gcp-us-central1", "verify": "sample:9",
            "target": "second", "to_encryption_key": "default", "dry_run": true, "scheduled_time": "2026-11-20T00:00:00Z"
        });
        let request = read(event).unwrap();
        assert!(request.dry_run && request.scheduled_time.is_some());
        let asked = Asked {
            pick: Pick::Random(Amount::Share("5%".parse().unwrap())),
            seed: Some(7),
            to: Some("gcp-us-central1".into()),
            level: "sample:9".parse().unwrap(),
            target: Some("second".into()),
            to_encryption_key: Some("default".into()),
        };
        assert_eq!(request.drill, Some(asked));
        let names = json!({"names": ["acme-a", "backup-acme-b-1763690400"]});
        let wanted = ["acme-a", "backup-acme-b-1763690400"].map(str::to_owned);
        assert_eq!(pick(names), Pick::Names(wanted.to_vec()));
        let oldest = json!({"pick": "oldest", "count": 3});
        assert_eq!(pick(oldest), Pick::Oldest(Amount::Count(3)));
    }

    #[test]
    fn a_drill_that_makes_no_sense_is_refused() {
        for (event, says) in [
            (json!({"pick": "newest"}), "random or oldest"),
            (json!({"pick": "oldest", "seed": 1}), "`seed`"),
            (json!({"count": 0}), "at least 1"),
            (json!({"count": "3"}), "at least 1"),
            (json!({"count": 3, "share": "5%"}), "`share`"),
            (json!({"share": 5}), "\"5%\""),
            (json!({"share": "0%"}), "\"5%\""),
            (json!({"seed": -1}), "not negative"),
            (json!({"names": []}), "a list"),
            (json!({"names": ["a", "a"]}), "each once"),
            (json!({"names": ["a b"]}), "a list"),
            (json!({"names": ["a"], "pick": "random"}), "`pick`"),
            (json!({"names": ["a"], "count": 1}), "`count`"),
            (json!({"names": ["a"], "share": "5%"}), "`share`"),
            (json!({"names": ["a"], "seed": 1}), "`seed`"),
            (json!({"verify": "metadata"}), "count, sample"),
            (json!({"verify": "most"}), "count, sample"),
            (json!({"to": "Mars!"}), "a region"),
            (json!({"yes": true}), "`yes`"),
            (json!({"as": "x"}), "`as`"),
            (json!({"all": true}), "`all`"),
            (json!({"manual": true}), "`manual`"),
            (json!({"keep": true}), "is not known"),
        ] {
            let said = read(event.clone()).unwrap_err();
            assert!(said.contains(says), "{event}: {said}");
        }
        let elsewhere = json!({"action": "verify", "pick": "oldest"});
        let said = Request::from_event(&elsewhere.into()).unwrap_err();
        assert!(
            said.to_string().contains("only for the action `drill`"),
            "{said}"
        );
        let misspelt = json!({"action": "dril"});
        let said = Request::from_event(&misspelt.into()).unwrap_err();
        assert!(said.to_string().contains("did you mean `drill`"), "{said}");
    }
}
