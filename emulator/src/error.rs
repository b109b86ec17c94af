//! The errors the API answers with: a status and a sentence.
//!
//! The sentences, emoji included, are those the live service was seen to use where the contract records one.

use serde_json::json;

/// An answer that is an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The sentence in the body's `error`.
    pub(crate) message: String,
}

/// What an operation of the data plane gives.
pub(crate) type Result<T> = std::result::Result<T, ApiError>;

impl ApiError {
    pub(crate) fn new(status: u16, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
        }
    }

    /// A request that is well-formed but can't be done.
    pub(crate) fn bad(message: impl AsRef<str>) -> Self {
        Self::new(400, format!("💔 {}", message.as_ref()))
    }

    /// Well-formed JSON of the wrong shape.
    pub(crate) fn shape(detail: impl AsRef<str>) -> Self {
        Self::new(
            422,
            format!(
                "Failed to deserialize the JSON body into the target type: {}",
                detail.as_ref()
            ),
        )
    }

    pub(crate) fn missing(namespace: &str) -> Self {
        Self::new(404, format!("🤷 namespace '{namespace}' was not found"))
    }

    pub(crate) fn read_only() -> Self {
        Self::bad("Writes not permitted. This namespace is read-only.")
    }

    /// The body of a fault's status.
    pub(crate) fn injected(status: u16) -> serde_json::Value {
        Self::new(status, format!("💔 injected fault {status}")).body()
    }

    /// The body that goes with it.
    pub(crate) fn body(&self) -> serde_json::Value {
        json!({"status": "error", "error": self.message})
    }
}
