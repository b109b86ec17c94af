//! A walk over the tables of a TOML document that remembers every fault with its path.
//!
//! What the tables mean is not known here, only what they may hold.

use std::ops::RangeInclusive;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::environment;
use super::overlap::End;
use super::{Reported, clusters, parts};

/// Characters of a wrong value that are shown.
const LONGEST_SHOWN: usize = 80;

/// What messages call a kind of table, and the keys it knows.
pub(super) type Table = (&'static str, &'static [&'static str]);

/// One table of the document.
#[derive(Debug)]
pub(super) struct Section<'a> {
    /// How faults call it; empty for the document itself.
    pub(super) path: String,
    pub(super) table: &'a DeTable<'a>,
}

impl<'a> Section<'a> {
    pub(super) fn get(&self, key: &str) -> Option<&'a DeValue<'a>> {
        self.table.get(key).map(Spanned::get_ref)
    }

    /// How faults call one of its keys.
    pub(super) fn at(&self, key: &str) -> String {
        let bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let key = if !key.is_empty() && key.bytes().all(bare) {
            key.to_owned()
        } else {
            format!("{key:?}")
        };
        if self.path.is_empty() {
            return key;
        }
        format!("{}.{key}", self.path)
    }
}

/// Walks over the document, remembering every fault.
pub(super) struct Walk<'w, 'e> {
    /// Every kind of table, for a key that stands in the wrong one.
    pub(super) tables: &'static [Table],
    /// What the document does not say; and where faults are remembered.
    pub(super) environment: &'w mut environment::Reader<'e>,
    /// Every source and target, for the comparison of all with all.
    pub(super) ends: Vec<End>,
}

impl Walk<'_, '_> {
    /// A value that must be a table, its keys checked.
    pub(super) fn table<'a>(
        &mut self,
        path: String,
        value: &'a DeValue<'a>,
        kind: Table,
    ) -> Result<Section<'a>, Reported> {
        let DeValue::Table(table) = value else {
            return Err(self.wrong(&path, value, "a table"));
        };
        let section = Section { path, table };
        self.refuse_unknown(&section, kind);
        Ok(section)
    }

    /// The path and the values of a list that must hold tables; whether they are some is for whoever reads them.
    pub(super) fn list_of_tables<'a>(
        &mut self,
        section: &Section<'a>,
        key: &str,
    ) -> Result<(String, &'a DeArray<'a>), Reported> {
        let path = section.at(key);
        let wanted = format!("one or more tables `[[{path}]]`");
        let Some(value) = section.get(key) else {
            return Err(self.fault(&path, format!("is missing; there must be {wanted}")));
        };
        let DeValue::Array(values) = value else {
            return Err(self.wrong(&path, value, &wanted));
        };
        if values.is_empty() {
            return Err(self.fault(&path, format!("is empty; there must be {wanted}")));
        }
        Ok((path, values))
    }

    pub(super) fn refuse_unknown(&mut self, section: &Section<'_>, (_, known): Table) {
        for key in section.table.keys().map(|key| key.get_ref().as_ref()) {
            if known.contains(&key) {
                continue;
            }
            let elsewhere: Vec<&str> = self
                .tables
                .iter()
                .filter(|(_, keys)| keys.contains(&key))
                .map(|(name, _)| *name)
                .collect();
            let message = match (key, elsewhere.is_empty()) {
                ("api_key", _) => "is not read: keep keys out of the document; write the name of a secret that holds it as `api_key_secret`".into(),
                (_, false) => format!("is not known here; it belongs to {}", elsewhere.join(" or ")),
                (key, true) if clusters::is_ours(key) => "is for plans of Zilliz Cloud, which say `provider = \"zilliz\"`; leave it out, or say that".into(),
                _ => format!(
                    "is not known; did you mean `{}`? Known here: {}",
                    parts::nearest(key, known.iter().copied()).unwrap_or_default(),
                    known.join(", ")
                ),
            };
            self.fault(&section.at(key), message);
        }
    }

    pub(super) fn text<'a>(
        &mut self,
        section: &Section<'a>,
        key: &str,
    ) -> Result<Option<&'a str>, Reported> {
        let value = section.get(key);
        value
            .map(|value| self.text_in(&section.at(key), value))
            .transpose()
    }

    pub(super) fn texts(
        &mut self,
        section: &Section<'_>,
        key: &str,
    ) -> Result<Option<Vec<String>>, Reported> {
        let Some(value) = section.get(key) else {
            return Ok(None);
        };
        let path = section.at(key);
        let values = match value {
            DeValue::Array(values) => values,
            DeValue::String(text) => {
                let wanted = format!("a list, also of one: `[{text:?}]`");
                return Err(self.wrong(&path, value, &wanted));
            }
            _ => return Err(self.wrong(&path, value, "a list of texts in quotes")),
        };
        let texts: Vec<_> = values
            .iter()
            .enumerate()
            .map(|(index, value)| self.text_in(&format!("{path}[{index}]"), value.get_ref()))
            .collect();
        let texts: Result<Vec<_>, _> = texts.into_iter().collect();
        Ok(Some(texts?.into_iter().map(str::to_owned).collect()))
    }

    fn text_in<'a>(&mut self, path: &str, value: &'a DeValue<'_>) -> Result<&'a str, Reported> {
        let DeValue::String(text) = value else {
            return Err(self.wrong(path, value, "a text in quotes"));
        };
        if text.trim().is_empty() {
            let message = "is empty; leave it out, or set it to what is meant";
            return Err(self.fault(path, message));
        }
        if text.trim() != text.as_ref() || text.contains(char::is_control) {
            let message = format!(
                "{} has blanks around it or control characters in it; take them away",
                shown(value)
            );
            return Err(self.fault(path, message));
        }
        Ok(text)
    }

    pub(super) fn number(
        &mut self,
        section: &Section<'_>,
        key: &str,
        range: RangeInclusive<u32>,
    ) -> Result<Option<u32>, Reported> {
        let Some(value) = section.get(key) else {
            return Ok(None);
        };
        let number = match value {
            DeValue::Integer(number) => u32::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        };
        let number = number.filter(|number| range.contains(number));
        number.map(Some).ok_or_else(|| {
            let (least, most) = range.into_inner();
            let wanted = format!("a whole number from {least} to {most}, without quotes");
            self.wrong(&section.at(key), value, &wanted)
        })
    }

    pub(super) fn wrong(&mut self, path: &str, value: &DeValue<'_>, wanted: &str) -> Reported {
        self.fault(path, format!("is {}; it must be {wanted}", shown(value)))
    }

    pub(super) fn fault(&mut self, path: &str, message: impl Into<String>) -> Reported {
        self.environment.fault(path, message)
    }
}

/// A value with its type, as a message shows it.
fn shown(value: &DeValue<'_>) -> String {
    let cut = |text: &str| -> String { text.chars().take(LONGEST_SHOWN).collect() };
    match value {
        DeValue::String(text) => format!("the text {:?}", cut(text)),
        DeValue::Integer(number) => format!("the number `{}`", cut(&number.to_string())),
        DeValue::Float(number) => format!("the number `{}`", cut(number.as_str())),
        DeValue::Boolean(truth) => format!("`{truth}`"),
        DeValue::Datetime(time) => format!("the time `{time}`"),
        DeValue::Array(_) => "a list".into(),
        DeValue::Table(_) => "a table".into(),
    }
}
