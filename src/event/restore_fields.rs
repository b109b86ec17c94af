//! What an event asks to be restored: the fields of the action `restore`.
//!
//! Exactly one of `names`, `prefix` and `all` says which sources; what can't be understood is refused, never left out.

use serde_json::Value;

use super::EventError;
use super::fields::FIELDS;
use super::json::{instant, text, wrong};
use crate::name::{Namespace, legal_bytes};
use crate::restore::{Asked, Which};

/// The fields of a restore as they come.
#[derive(Default)]
pub(super) struct RestoreFields {
    which: Vec<(&'static str, Which)>,
    asked: Option<Asked>,
}

impl RestoreFields {
    /// Takes a field in, if it is one of a restore's.
    pub(super) fn read(&mut self, field: &str, value: &Value) -> Result<bool, EventError> {
        let Some(field) = FIELDS.into_iter().find(|known| *known == field) else {
            return Ok(false);
        };
        let asked = self.asked.get_or_insert_with(|| Asked::of(Which::All));
        match field {
            "names" => self.which.push((field, Which::Names(names(value)?))),
            "prefix" => self.which.push((field, Which::Prefix(prefix(value)?))),
            "all" => {
                if value != &Value::Bool(true) {
                    return Err(wrong(field, value, "it should be true, or be left out"));
                }
                self.which.push((field, Which::All));
            }
            "at" => asked.at = Some(instant("at", value)?),
            "as" => {
                let template = text(field, value, "it should be such as \"recovered-{source}\"")?;
                asked.template = template.parse().map_err(|_| {
                    let wanted = "it should be letters, digits, `-`, `_` and `.`, and `{source}` once, such as \"recovered-{source}\"";
                    wrong(field, value, wanted)
                })?;
            }
            "to" => asked.to = Some(region(field, value)?),
            "verify" => {
                let wanted = "it should be metadata, count, sample, sample:N or full";
                let level = text(field, value, wanted)?;
                asked.level = level.parse().map_err(|_| wrong(field, value, wanted))?;
            }
            "target" => {
                asked.target = Some(text(field, value, "it should be a target's name")?);
            }
            "to_api_key_secret" => {
                asked.to_api_key_secret = Some(secret(field, value)?);
            }
            "to_encryption_key" => {
                let wanted = "it should be `default`, or a key's ARN or resource name";
                asked.to_encryption_key = Some(text(field, value, wanted)?);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The restore that is meant.
    pub(super) fn asked(self) -> Result<Asked, EventError> {
        let found: Vec<&str> = self.which.iter().map(|(field, _)| *field).collect();
        let found = match found.as_slice() {
            [] => "none of them".to_owned(),
            found => format!("`{}`", found.join("`, `")),
        };
        match (<[_; 1]>::try_from(self.which), self.asked) {
            (Ok([(_, which)]), Some(asked)) => Ok(Asked { which, ..asked }),
            _ => Err(EventError::WhichSources { found }),
        }
    }
}

fn names(value: &Value) -> Result<Vec<String>, EventError> {
    let wanted = "it should be a list of one or more namespaces' names, each once";
    let list = value.as_array().filter(|list| !list.is_empty());
    let mut names = Vec::new();
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

fn prefix(value: &Value) -> Result<String, EventError> {
    let wanted = "it should be what the sources' names begin with; `all` brings back every one";
    let text = text("prefix", value, wanted)?;
    if legal_bytes(&text) {
        return Ok(text);
    }
    Err(wrong("prefix", value, wanted))
}

pub(super) fn region(field: &'static str, value: &Value) -> Result<String, EventError> {
    let wanted = "it should be a region such as \"aws-us-east-1\"";
    let text = text(field, value, wanted)?;
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if text.bytes().all(plain) {
        return Ok(text);
    }
    Err(wrong(field, value, wanted))
}

/// The name of a secret. What looks like the key itself is refused, and not repeated.
fn secret(field: &'static str, value: &Value) -> Result<String, EventError> {
    let wanted = "it should be the name or ARN of a secret in Secrets Manager";
    let text = text(field, value, wanted)?;
    if text.starts_with("tpuf_") {
        return Err(EventError::WrongValue {
            field,
            found: "a key itself".to_owned(),
            wanted: "keep keys out of events: put it into Secrets Manager and send the secret's name",
        });
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::super::{Action, Request};
    use super::*;

    fn read(event: &Value) -> Result<Request, String> {
        Request::from_event(&event.clone().into()).map_err(|error| error.to_string())
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_restore_is_read_with_all_that_it_may_say() {
        let event = json!({
            "action": "restore", "plan": "nightly", "names": ["acme-a", "acme-b"], "at": "2026-11-20T00:00:00Z",
            "as": "{source}", "to": "gcp-us-central1", "verify": "sample:7", "target": "second",
            "to_api_key_secret": "other/key", "to_encryption_key": "default", "dry_run": true
        });
        let request = read(&event).unwrap();
        assert_eq!((request.action, request.dry_run), (Action::Restore, true));
        let asked = Asked {
            at: Some(at("2026-11-20T00:00:00Z")),
            template: "{source}".parse().unwrap(),
            to: Some("gcp-us-central1".into()),
            level: "sample:7".parse().unwrap(),
            target: Some("second".into()),
            to_api_key_secret: Some("other/key".into()),
            to_encryption_key: Some("default".into()),
            ..Asked::of(Which::Names(vec!["acme-a".into(), "acme-b".into()]))
        };
        assert_eq!(request.restore, Some(asked));
        let all = read(&json!({"action": "restore", "all": true})).unwrap();
        assert_eq!(all.restore, Some(Asked::of(Which::All)));
    }

    #[test]
    fn a_restore_that_does_not_say_exactly_what_is_refused() {
        for (event, says) in [
            (json!({}), "none of them"),
            (json!({"all": true, "prefix": "a"}), "`all`, `prefix`"),
            (json!({"all": false}), "true, or be left out"),
            (json!({"names": []}), "one or more"),
            (json!({"names": "acme"}), "a list"),
            (json!({"names": ["a", "a"]}), "each once"),
            (json!({"names": ["a b"]}), "names"),
            (json!({"prefix": ""}), "`all` brings back every one"),
            (json!({"prefix": "a*"}), "begin with"),
            (json!({"all": true, "as": "x{source}{source}"}), "once"),
            (json!({"all": true, "as": "a b"}), "letters, digits"),
            (json!({"all": true, "at": "yesterday"}), "with its zone"),
            (json!({"all": true, "to": "Mars!"}), "a region"),
            (json!({"all": true, "verify": "a bit"}), "metadata, count"),
            (json!({"all": true, "unverified": true}), "is not known"),
        ] {
            let mut event = event;
            event["action"] = json!("restore");
            let said = read(&event).unwrap_err();
            assert!(said.contains(says), "{event}: {said}");
        }
        let key = json!({"action": "restore", "all": true, "to_api_key_secret": "tpuf_abc"});
        let said = read(&key).unwrap_err();
        assert!(
            said.contains("a key itself") && !said.contains("tpuf_abc"),
            "{said}"
        );
    }
}
