//! Whose key a namespace is encrypted with: reading both forms of it, and showing both.

use serde_json::{Value as Json, json};

use crate::error::{ApiError, Result};

/// What a request says about the encryption of the namespace it makes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Wish {
    /// Nothing: that of the source, or the service's own.
    Unsaid,
    /// The service's own key.
    Service,
    /// This customer-managed key, in the v2 form.
    Customer(Json),
}

impl Wish {
    /// Reads the v2 form (`mode`) or the v1 form (`sse`, `cmek`).
    pub(crate) fn read(json: Option<&Json>) -> Result<Self> {
        let Some(json) = json.filter(|json| !json.is_null()) else {
            return Ok(Self::Unsaid);
        };
        if let Some(name) = json.get("cmek").and_then(|cmek| cmek.get("key_name")) {
            let key = json!({"mode": "customer-managed", "key_name": name});
            return Ok(Self::Customer(key));
        }
        match (
            json.get("mode").and_then(Json::as_str),
            json.get("key_name"),
        ) {
            (Some("default"), _) => Ok(Self::Service),
            (Some("customer-managed"), Some(Json::String(_))) => Ok(Self::Customer(json.clone())),
            (None, _) if json.get("sse").is_some() => Ok(Self::Service),
            _ => Err(ApiError::shape(format!("encryption: unexpected {json}"))),
        }
    }

    /// The key of a namespace made under this wish from one with the key `inherited`.
    pub(crate) fn or(&self, inherited: Option<Json>) -> Option<Json> {
        match self {
            Self::Unsaid => inherited,
            Self::Service => None,
            Self::Customer(key) => Some(key.clone()),
        }
    }
}

/// A namespace's encryption as metadata shows it.
pub(crate) fn view(key: Option<&Json>, v1: bool) -> Json {
    match (key, v1) {
        (Some(key), false) => key.clone(),
        (Some(key), true) => json!({"cmek": {"key_name": key.get("key_name")}}),
        (None, false) => json!({"mode": "default"}),
        (None, true) => json!({"sse": true}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read_and_shown() {
        let v1 = json!({"cmek": {"key_name": "k"}});
        let Wish::Customer(key) = Wish::read(Some(&v1)).unwrap() else {
            panic!("no key")
        };
        assert_eq!(view(Some(&key), true), v1);
        assert_eq!(
            Wish::read(Some(&view(Some(&key), false))),
            Ok(Wish::Customer(key))
        );
        assert_eq!(
            Wish::read(Some(&json!({"mode": "default"}))),
            Ok(Wish::Service)
        );
        assert_eq!(Wish::read(None), Ok(Wish::Unsaid));
        assert_eq!(Wish::read(Some(&json!("aes"))).unwrap_err().status, 422);
    }
}
