//! What a restore is asked for, and by what name the journal knows it. Pure.
//!
//! The same request again is the same restore: its identity is made of everything in it, and of nothing else.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::event::identity_of;
use crate::name::{Namespace, legal_bytes};
use crate::service::Region;
use crate::verify::Level;

/// What stands for the source's name in a template.
const SOURCE: &str = "{source}";

/// Which sources come back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    /// These.
    Names(Vec<String>),
    /// All that have a backup and begin like this.
    Prefix(String),
    /// All that the plan selects and that have a backup.
    All,
}

/// A restore as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Which sources.
    pub which: Which,
    /// The point in time; `None` is the moment at which the restore begins.
    pub at: Option<Timestamp>,
    /// What the restored namespaces are called.
    #[serde(rename = "as")]
    pub template: Template,
    /// Where they are restored to; `None` is the plan's source region.
    pub to: Option<Region>,
    /// How closely each is compared with its backup.
    #[serde(rename = "verify")]
    pub level: Level,
    /// From which of the plan's targets; `None` is its only one.
    pub target: Option<String>,
    /// The secret with the key of the destination's organisation, when it is not the sources'.
    pub to_api_key_secret: Option<String>,
    /// Whether that key is in the variable `RESTORE_API_KEY` instead.
    pub to_api_key_in_variable: bool,
    /// What the restored namespaces are encrypted with: `default`, or a key; `None` inherits from the backup.
    pub to_encryption_key: Option<String>,
}

impl Asked {
    /// Everything that the plan selects, as it is now.
    #[must_use]
    pub fn of(which: Which) -> Self {
        Self {
            which,
            at: None,
            template: Template::default(),
            to: None,
            level: Level::default(),
            target: None,
            to_api_key_secret: None,
            to_api_key_in_variable: false,
            to_encryption_key: None,
        }
    }

    /// What tells this restore of a plan from every other, in the journal: no plan's name has a `.` in it.
    #[must_use]
    pub fn identity(&self, plan: &str) -> String {
        format!("{plan}.{}", identity_of(self))
    }
}

/// Whose plan a restore of this identity is.
#[must_use]
pub fn plan_of(identity: &str) -> &str {
    identity.split_once('.').map_or(identity, |(plan, _)| plan)
}

/// What restored namespaces are called: a text in which `{source}` stands for the source's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(String);

/// A text that is no template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no name for what is restored; use letters, digits, `-`, `_` and `.`, and `{{source}}` once, such as `recovered-{{source}}`"
)]
pub struct TemplateError(String);

impl Template {
    /// The name for one source; `None` when it would be longer than 128 bytes, or `.` or `..`.
    #[must_use]
    pub fn name(&self, source: &Namespace) -> Option<Namespace> {
        Namespace::parse(&self.text(source))
    }

    /// The same, also if it is no legal name.
    #[must_use]
    pub fn text(&self, source: &Namespace) -> String {
        self.0.replace(SOURCE, source.as_str())
    }
}

impl Default for Template {
    fn default() -> Self {
        Self(format!("recovered-{SOURCE}"))
    }
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        let around = text.replacen(SOURCE, "", 1);
        if text.is_empty() || !legal_bytes(&around) {
            return Err(TemplateError(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Template {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(name: &str) -> Namespace {
        Namespace::parse(name).unwrap()
    }

    #[test]
    fn a_template_names_what_is_restored() {
        let named = |template: &str| {
            let template: Template = template.parse().unwrap();
            template
                .name(&source("acme-docs"))
                .map(|name| name.to_string())
        };
        assert_eq!(
            Template::default().text(&source("acme-docs")),
            "recovered-acme-docs"
        );
        assert_eq!(named("{source}").unwrap(), "acme-docs");
        assert_eq!(named("x.{source}_2").unwrap(), "x.acme-docs_2");
        assert_eq!(named("one-name").unwrap(), "one-name");
        assert_eq!(named(&format!("{{source}}{}", "x".repeat(120))), None);
    }

    #[test]
    fn what_could_name_nothing_is_no_template() {
        for text in [
            "",
            "{source}{source}",
            "{Source}",
            "{sources}",
            "a b",
            "a/{source}",
            "é{source}",
            "{source",
        ] {
            let refused = text.parse::<Template>().unwrap_err().to_string();
            assert!(refused.contains("`recovered-{source}`"), "{refused}");
        }
    }

    #[test]
    fn the_same_request_is_the_same_restore_and_another_is_another() {
        let all = Asked::of(Which::All);
        let again: Asked = serde_json::from_value(serde_json::to_value(&all).unwrap()).unwrap();
        assert_eq!(
            (again.identity("nightly"), &again),
            (all.identity("nightly"), &all)
        );
        let others = [
            Asked::of(Which::Prefix("a".into())),
            Asked {
                at: Some(Timestamp::UNIX_EPOCH),
                ..all.clone()
            },
            Asked {
                template: "{source}".parse().unwrap(),
                ..all.clone()
            },
            Asked {
                to: Some("gcp-us-central1".into()),
                ..all.clone()
            },
        ];
        for other in others {
            assert_ne!(other.identity("nightly"), all.identity("nightly"));
        }
        assert_ne!(all.identity("nightly"), all.identity("weekly"));
    }
}
