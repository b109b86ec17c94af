//! API keys: where they come from, and what to do when one is refused.
//!
//! A key is fetched once per process and once more when the service refuses it, so a rotation needs no redeploy. Keys
//! never reach a log, an error or a report: they are [`SecretString`]s, shown only to the HTTP client.

use std::time::Duration;

use aws_config::{BehaviorVersion, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::ProvideErrorMetadata;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::sync::{Mutex, OnceCell};
use tokio::time::Instant;

/// Secrets Manager answers in milliseconds; longer than this it is down.
const FETCH_DEADLINE: Duration = Duration::from_secs(15);
/// Characters of somebody else's words in an error of ours.
const LONGEST_MESSAGE: usize = 300;
/// Thousands of jobs refused at once ask for a new key once.
const RENEW_AT_MOST_EVERY: Duration = Duration::from_secs(30);

/// Where a key comes from.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// Given in the environment, for a terminal.
    Given(SecretString),
    /// A Secrets Manager secret.
    Secret {
        /// Name or ARN.
        id: String,
        /// Field of a JSON secret; `None` for a plain one, or one with a single field.
        field: Option<String>,
    },
}

impl KeySource {
    /// Whether both are the same key, had from the same place.
    #[must_use]
    pub fn is_the_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Given(one), Self::Given(other)) => one.expose_secret() == other.expose_secret(),
            (
                Self::Secret { id, field },
                Self::Secret {
                    id: other,
                    field: other_field,
                },
            ) => (id, field) == (other, other_field),
            _ => false,
        }
    }
}

/// Why there is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// No such secret in this account and region.
    #[error(
        "there is no secret `{id}` in Secrets Manager here; check its name, account and region"
    )]
    Missing {
        /// Name or ARN.
        id: String,
    },
    /// The role lacks the permission.
    #[error(
        "reading the secret `{id}` is not allowed; give the role secretsmanager:GetSecretValue on it"
    )]
    Denied {
        /// Name or ARN.
        id: String,
    },
    /// Anything else that Secrets Manager or the network said.
    #[error("the secret `{id}` can't be read: {message}")]
    Unavailable {
        /// Name or ARN.
        id: String,
        /// What was said.
        message: String,
    },
    /// The secret is there but holds no key where we look for it.
    #[error("the secret `{id}` {fault}")]
    Unusable {
        /// Name or ARN.
        id: String,
        /// What is wrong and what to do.
        fault: String,
    },
}

/// A key, and which fetch it came from.
#[derive(Clone, Debug)]
pub struct Key {
    value: SecretString,
    fetch: u64,
}

impl Key {
    /// For the HTTP client, and nobody else.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.value.expose_secret()
    }

    /// Tells one fetched key from the next without showing either.
    #[must_use]
    pub fn fetch(&self) -> u64 {
        self.fetch
    }
}

/// A key source with its cache.
#[derive(Debug)]
pub struct ApiKey {
    source: KeySource,
    cached: Mutex<Option<Cached>>,
    manager: OnceCell<Client>,
}

#[derive(Debug)]
struct Cached {
    key: Key,
    renewal_tried: Option<Instant>,
}

impl ApiKey {
    /// Nothing is fetched before it is needed.
    #[must_use]
    pub fn new(source: KeySource) -> Self {
        Self {
            source,
            cached: Mutex::new(None),
            manager: OnceCell::new(),
        }
    }

    /// The cached key, or a fetched one.
    pub async fn current(&self) -> Result<Key, SecretError> {
        let mut cached = self.cached.lock().await;
        if let Some(cached) = cached.as_ref() {
            return Ok(cached.key.clone());
        }
        let key = Key {
            value: self.fetch().await?,
            fetch: 1,
        };
        *cached = Some(Cached {
            key: key.clone(),
            renewal_tried: None,
        });
        Ok(key)
    }

    /// Another key than the one the service refused, if there is one by now.
    pub async fn renewed(&self, refused: &Key) -> Result<Option<Key>, SecretError> {
        let mut guard = self.cached.lock().await;
        let Some(cached) = guard.as_mut() else {
            return Ok(None);
        };
        if cached.key.fetch != refused.fetch {
            return Ok(Some(cached.key.clone()));
        }
        if cached
            .renewal_tried
            .is_some_and(|tried| tried.elapsed() < RENEW_AT_MOST_EVERY)
        {
            return Ok(None);
        }
        cached.renewal_tried = Some(Instant::now());
        let value = self.fetch().await?;
        if value.expose_secret() == refused.expose() {
            return Ok(None);
        }
        tracing::info!("the API key was refused and has been renewed from its secret");
        cached.key = Key {
            value,
            fetch: refused.fetch + 1,
        };
        cached.renewal_tried = None;
        Ok(Some(cached.key.clone()))
    }

    async fn fetch(&self) -> Result<SecretString, SecretError> {
        match &self.source {
            KeySource::Given(key) => Ok(key.clone()),
            KeySource::Secret { id, field } => {
                let manager = self.manager.get_or_init(connect).await;
                let text = read_secret(manager, id).await?;
                key_in(id, &text, field.as_deref())
            }
        }
    }
}

/// The Secrets Manager of the account and region that the environment names.
pub(crate) async fn connect() -> Client {
    let time = TimeoutConfig::builder()
        .operation_timeout(FETCH_DEADLINE)
        .operation_attempt_timeout(FETCH_DEADLINE / 3)
        .build();
    let config = aws_config::defaults(BehaviorVersion::latest())
        .timeout_config(time)
        .retry_config(RetryConfig::standard().with_max_attempts(3))
        .load()
        .await;
    Client::new(&config)
}

/// The current version, asked for by stage: a plain read may answer with an older one while a rotation is under way.
async fn read_secret(manager: &Client, id: &str) -> Result<SecretString, SecretError> {
    let id = || id.to_owned();
    let answer = manager
        .get_secret_value()
        .secret_id(id())
        .version_stage("AWSCURRENT")
        .send()
        .await;
    let answer = answer.map_err(|error| match error.code() {
        Some("ResourceNotFoundException") => SecretError::Missing { id: id() },
        Some("AccessDeniedException") => SecretError::Denied { id: id() },
        _ => SecretError::Unavailable {
            id: id(),
            message: chain(&error),
        },
    })?;
    answer
        .secret_string
        .map(SecretString::from)
        .ok_or_else(|| SecretError::Unusable {
            id: id(),
            fault: "is binary; store the API key as text".into(),
        })
}

/// What went wrong, from the outside in. Never the errors' debug output: it holds the raw answer, and so the secret.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        said = format!("{said}: {error}");
        cause = error.source();
    }
    said.chars().take(LONGEST_MESSAGE).collect()
}

/// The key inside a secret's text: the text itself, or a field of a JSON object. Errors name fields, never values.
fn key_in(id: &str, text: &SecretString, field: Option<&str>) -> Result<SecretString, SecretError> {
    let unusable = |fault: String| SecretError::Unusable {
        id: id.to_owned(),
        fault,
    };
    let text = text.expose_secret().trim();
    let object = match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Some(object),
        _ => None,
    };
    let key = match (&object, field) {
        (None, None) => text,
        (None, Some(field)) => {
            return Err(unusable(format!(
                "is plain text, so it has no field `{field}`; unset the variable …_SECRET_FIELD"
            )));
        }
        (Some(object), field) => {
            let names = || {
                object
                    .keys()
                    .map(String::as_str)
                    .collect::<Vec<_>>()
                    .join(", ")
            };
            let found = match field {
                Some(field) => object.get(field),
                None if object.len() == 1 => object.values().next(),
                None => None,
            };
            found.and_then(Value::as_str).map(str::trim).ok_or_else(|| {
                let wanted = field.map_or_else(String::new, |field| format!(" but no text field `{field}`"));
                unusable(format!(
                    "is a JSON object with the fields: {}{wanted}; set the variable …_SECRET_FIELD to the one that holds the key",
                    names()
                ))
            })?
        }
    };
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(unusable(
            "holds no usable API key: it is empty or has spaces or control characters in it".into(),
        ));
    }
    Ok(SecretString::from(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, field: Option<&str>) -> Result<String, String> {
        let key = key_in("nightly/key", &SecretString::from(text), field);
        key.map(|key| key.expose_secret().to_owned())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_key_is_plain_text_or_a_field() {
        assert_eq!(read("tpuf_abc\n", None).unwrap(), "tpuf_abc");
        assert_eq!(
            read(r#"{"api_key": "tpuf_abc"}"#, None).unwrap(),
            "tpuf_abc"
        );
        assert_eq!(
            read(r#"{"a": "x", "b": "tpuf_abc"}"#, Some("b")).unwrap(),
            "tpuf_abc"
        );
    }

    #[test]
    fn a_secret_without_a_key_says_what_it_has_and_never_its_values() {
        let two = r#"{"user": "hidden", "password": "hidden"}"#;
        for (text, field, says) in [
            (two, None, "password, user"),
            (two, Some("api_key"), "no text field `api_key`"),
            ("hidden", Some("api_key"), "plain text"),
            ("", None, "no usable API key"),
            ("hidden hidden", None, "no usable API key"),
            (r#"{"api_key": 7}"#, None, "api_key"),
        ] {
            let said = read(text, field).unwrap_err();
            assert!(said.contains(says) && !said.contains("hidden"), "{said}");
        }
    }

    #[tokio::test]
    async fn a_given_key_that_is_refused_has_no_successor() {
        let key = ApiKey::new(KeySource::Given(SecretString::from("tpuf_abc")));
        let first = key.current().await.unwrap();
        assert!(key.renewed(&first).await.unwrap().is_none());
        assert!(!format!("{key:?} {first:?}").contains("tpuf_abc"));
    }
}
