//! A namespace's schema: declared or inferred attributes, how they may change, and the two layouts they are shown in.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value as Json, json};

use crate::error::{ApiError, Result};
use crate::kind::{Kind, Scalar};

/// What is known of one attribute.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Attribute {
    pub(crate) kind: Kind,
    /// Absent for the id.
    filterable: Option<bool>,
    /// The options of those that were given, defaults filled in.
    full_text_search: Option<Json>,
    /// The distance metric of an indexed vector.
    ann: Option<String>,
    /// `glob`, `regex`, `fuzzy`, `sparse_knn`, `embed`: carried, shown, not interpreted.
    others: BTreeMap<String, Json>,
}

const OTHERS: [&str; 5] = ["glob", "regex", "fuzzy", "sparse_knn", "embed"];
const DEFAULT_METRIC: &str = "cosine_distance";

/// All attributes of a namespace, the id included.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Schema {
    attributes: BTreeMap<Arc<str>, Attribute>,
    /// The metric of vectors that name none of their own.
    metric: Option<String>,
}

impl Schema {
    pub(crate) fn get(&self, name: &str) -> Option<&Attribute> {
        self.attributes.get(name)
    }

    pub(crate) fn kind(&self, name: &str) -> Option<Kind> {
        self.get(name).map(|attribute| attribute.kind)
    }

    pub(crate) fn metric_of(&self, name: &str) -> &str {
        self.get(name)
            .and_then(|attribute| attribute.ann.as_deref())
            .unwrap_or(DEFAULT_METRIC)
    }

    pub(crate) fn set_metric(&mut self, metric: &str) -> Result<()> {
        if !matches!(metric, DEFAULT_METRIC | "euclidean_squared") {
            return Err(ApiError::shape(format!(
                "unknown variant `{metric}` for distance_metric"
            )));
        }
        let other = |held: &String| held != metric;
        if self.attributes.contains_key("vector") && self.metric.as_ref().is_some_and(other) {
            return Err(ApiError::bad("distance_metric can't be changed"));
        }
        self.metric = Some(metric.to_owned());
        Ok(())
    }

    /// The shared name of an attribute and its type; a new attribute is inferred from its first value.
    pub(crate) fn learn(&mut self, name: &str, value: &Json) -> Result<(Arc<str>, Kind)> {
        if let Some((name, attribute)) = self.attributes.get_key_value(name) {
            return Ok((Arc::clone(name), attribute.kind));
        }
        check_name(name)?;
        let kind = Kind::infer(name, value)?;
        let attribute = self.attribute(kind, &Map::new());
        let name: Arc<str> = name.into();
        self.attributes.insert(Arc::clone(&name), attribute);
        Ok((name, kind))
    }

    /// Sets the id's type from the first id, unless it was declared.
    pub(crate) fn learn_id(&mut self, text: bool) -> Kind {
        let kind = Kind::One(if text { Scalar::Text } else { Scalar::Uint });
        let attribute = Attribute::id(kind);
        self.attributes.entry("id".into()).or_insert(attribute).kind
    }

    /// Applies a (partial) schema as sent. Types can't change; index options can.
    pub(crate) fn declare(&mut self, declared: &Json) -> Result<()> {
        let Json::Object(declared) = declared else {
            return Err(ApiError::shape("schema: expected a map"));
        };
        for (name, config) in declared {
            self.declare_one(name, config)?;
        }
        Ok(())
    }

    fn declare_one(&mut self, name: &str, config: &Json) -> Result<()> {
        check_name(name)?;
        let empty = Map::new();
        let (kind, options) = match config {
            Json::String(kind) => (Some(kind.as_str()), &empty),
            Json::Object(options) => (options.get("type").and_then(Json::as_str), options),
            _ => {
                return Err(ApiError::shape(format!(
                    "schema.{name}: expected a type or a map"
                )));
            }
        };
        let held = self.get(name);
        let kind = match (kind, held) {
            (Some(kind), _) => Kind::parse(kind).ok_or_else(|| {
                ApiError::bad(format!("unknown type `{kind}` of attribute `{name}`"))
            })?,
            (None, Some(held)) => held.kind,
            (None, None) => return Err(ApiError::bad(format!("schema for `{name}` has no type"))),
        };
        if let Some(held) = held
            && held.kind != kind
        {
            return Err(ApiError::bad(format!(
                "type of attribute `{name}` can't be changed from {} to {kind}",
                held.kind
            )));
        }
        let attribute = match (name, held) {
            ("id", _) => Attribute::id(kind),
            (_, Some(held)) => held.clone().changed(options),
            (_, None) => self.attribute(kind, options),
        };
        self.attributes.insert(name.into(), attribute);
        Ok(())
    }

    fn attribute(&self, kind: Kind, options: &Map<String, Json>) -> Attribute {
        let is_vector = matches!(kind, Kind::Vector(..));
        let metric = self.metric.as_deref().unwrap_or(DEFAULT_METRIC).to_owned();
        let plain = Attribute {
            kind,
            filterable: Some(!is_vector && !matches!(kind, Kind::Sparse | Kind::Bytes)),
            full_text_search: None,
            ann: is_vector.then_some(metric),
            others: BTreeMap::new(),
        };
        plain.changed(options)
    }

    /// The layout of GET `/v1/…/schema`: `ann` is a flag, what does not apply is null.
    pub(crate) fn view(&self) -> Json {
        let render = |(name, attribute): (&Arc<str>, &Attribute)| {
            let mut out = Map::new();
            out.insert("type".into(), json!(attribute.kind));
            out.insert("filterable".into(), json!(attribute.filterable));
            out.insert("full_text_search".into(), json!(attribute.full_text_search));
            if attribute.ann.is_some() {
                out.insert("ann".into(), json!(true));
            }
            let flags = attribute
                .others
                .iter()
                .filter(|(name, _)| *name != "sparse_knn");
            out.extend(flags.map(|(name, value)| (name.clone(), value.clone())));
            (name.to_string(), Json::Object(out))
        };
        Json::Object(self.attributes.iter().map(render).collect())
    }

    /// The layout inside metadata: `ann` is an object, what does not apply is absent.
    pub(crate) fn metadata_view(&self) -> MetadataView<'_> {
        MetadataView(self)
    }
}

/// Written straight into the answer, because metadata is what a backup asks for most.
pub(crate) struct MetadataView<'a>(&'a Schema);

impl Serialize for MetadataView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_map(
            self.0
                .attributes
                .iter()
                .map(|(name, attribute)| (&**name, InMetadata(attribute))),
        )
    }
}

struct InMetadata<'a>(&'a Attribute);

impl Serialize for InMetadata<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let Attribute {
            kind,
            filterable,
            full_text_search,
            ann,
            others,
        } = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", kind)?;
        if let Some(filterable) = filterable {
            map.serialize_entry("filterable", filterable)?;
        }
        if let Some(options) = full_text_search {
            map.serialize_entry("full_text_search", options)?;
        }
        if let Some(metric) = ann {
            map.serialize_entry("ann", &json!({"distance_metric": metric}))?;
        }
        for (name, value) in others {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl Attribute {
    fn id(kind: Kind) -> Self {
        Self {
            kind,
            filterable: None,
            full_text_search: None,
            ann: None,
            others: BTreeMap::new(),
        }
    }

    /// Whether filters may name it.
    pub(crate) fn is_filterable(&self) -> bool {
        self.filterable != Some(false) || self.others.contains_key("glob")
    }

    fn changed(mut self, options: &Map<String, Json>) -> Self {
        match options.get("full_text_search") {
            Some(Json::Bool(true)) => self.full_text_search = Some(full_text(&Map::new())),
            Some(Json::Object(chosen)) => self.full_text_search = Some(full_text(chosen)),
            Some(_) => self.full_text_search = None,
            None => {}
        }
        match options.get("ann") {
            Some(Json::Bool(false)) => self.ann = None,
            Some(Json::Object(ann)) => {
                let metric = ann.get("distance_metric").and_then(Json::as_str);
                self.ann = metric.map(str::to_owned).or(self.ann);
            }
            _ => {}
        }
        let mut indexed_otherwise =
            options.contains_key("full_text_search") && self.full_text_search.is_some();
        for name in OTHERS {
            match options.get(name) {
                None => {}
                Some(Json::Null | Json::Bool(false)) => {
                    self.others.remove(name);
                }
                Some(value) => {
                    indexed_otherwise = true;
                    self.others.insert(name.to_owned(), value.clone());
                }
            }
        }
        // Attributes with another index are not filterable unless that is said.
        match options.get("filterable").and_then(Json::as_bool) {
            Some(filterable) => self.filterable = Some(filterable),
            None if indexed_otherwise => self.filterable = Some(false),
            None => {}
        }
        self
    }
}

/// Options of full-text search with the service's defaults.
fn full_text(chosen: &Map<String, Json>) -> Json {
    let mut options = json!({
        "ascii_folding": false, "b": 0.75, "case_sensitive": false, "k1": 1.2, "k3": 8.0, "language": "english",
        "max_token_length": 39, "remove_stopwords": false, "stemming": false, "tokenizer": "word_v4",
    });
    if let Json::Object(options) = &mut options {
        options.extend(
            chosen
                .iter()
                .map(|(name, value)| (name.clone(), value.clone())),
        );
    }
    options
}

fn check_name(name: &str) -> Result<()> {
    if name.is_empty() || name.len() > 128 || name.starts_with('$') {
        return Err(ApiError::bad(format!("invalid attribute name `{name}`")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The write and both views as the live service gave them for one namespace (synthetic data).
    #[test]
    fn both_views_are_laid_out_as_the_service_does() {
        let mut schema = Schema::default();
        schema
            .declare(&json!({
                "id": "uuid", "nf": {"type": "string", "filterable": false}, "gl": {"type": "string", "glob": true},
                "fs": {"type": "string", "full_text_search": true, "filterable": true},
                "v": {"type": "[2]f32", "ann": true},
                "sp": {"type": "{}f16", "sparse_knn": {"distance_metric": "dot_product"}},
            }))
            .unwrap();
        schema.learn("u", &json!(3)).unwrap();
        let (one, two) = (schema.view(), json!(schema.metadata_view()));
        assert_eq!(
            one["id"],
            json!({"type": "uuid", "filterable": null, "full_text_search": null})
        );
        assert_eq!(two["id"], json!({"type": "uuid"}));
        assert_eq!(
            one["v"],
            json!({"type": "[2]f32", "filterable": false, "full_text_search": null, "ann": true})
        );
        assert_eq!(
            two["v"]["ann"],
            json!({"distance_metric": "cosine_distance"})
        );
        assert_eq!(
            two["gl"],
            json!({"type": "string", "filterable": false, "glob": true})
        );
        assert_eq!(one["fs"]["full_text_search"]["k1"], json!(1.2));
        assert_eq!(one["fs"]["filterable"], json!(true));
        assert_eq!(two["u"], json!({"type": "int", "filterable": true}));
        assert_eq!(two["nf"], json!({"type": "string", "filterable": false}));
        assert!(one["sp"].get("sparse_knn").is_none() && two["sp"].get("sparse_knn").is_some());
    }

    #[test]
    fn types_stay_and_options_move() {
        let mut schema = Schema::default();
        schema.declare(&json!({"title": "string"})).unwrap();
        assert_eq!(
            schema.declare(&json!({"title": "int"})).unwrap_err().status,
            400
        );
        schema
            .declare(&json!({"title": {"type": "string", "full_text_search": true}}))
            .unwrap();
        assert_eq!(schema.view()["title"]["filterable"], json!(false));
    }
}
