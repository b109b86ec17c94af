//! The one-time password of a restored cluster: where it goes, and how it gets there.
//!
//! The service tells it once, in the answer to the restore. What this must never do: let it reach a log, an error, a report
//! or the journal. A place that can't be written is found out before the restore is asked for, because afterwards the
//! password has nowhere to be.

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::OnceCell;

use crate::secret::{self, KeySource};

/// Marks the version that only proves that a secret can be written. The current version stays what it is.
const PROOF_STAGE: &str = "LIFEBOAT_PROOF";
/// What such a version, and a secret that was just made, hold.
const PROOF: &str = r#"{"pending":"Lifeboat showed that it may write here before it asked for a restore; the password replaces this"}"#;

/// Where a one-time password goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// A Secrets Manager secret, by name or ARN.
    Secret(String),
    /// The terminal that asked for the restore, once.
    Terminal,
}

/// What lets somebody into a restored cluster. Its debug output has no password in it.
#[derive(Clone, Debug)]
pub struct OneTime {
    /// The cluster's id.
    pub cluster: String,
    /// Its first user.
    pub username: String,
    /// That user's password.
    pub password: SecretString,
}

impl OneTime {
    /// What the secret holds (docs/zilliz.md says these three).
    fn document(&self) -> SecretString {
        let document = json!({
            "cluster_id": self.cluster,
            "username": self.username,
            "password": self.password.expose_secret(),
        });
        SecretString::from(document.to_string())
    }

    /// For the terminal that was chosen to show it, and nobody else.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.password.expose_secret()
    }
}

/// Why a secret can't be written. Nothing of what it should hold is in here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// It does not exist, and an ARN is no name to make one by.
    #[error(
        "there is no secret `{id}` in Secrets Manager here; check the ARN, its account and region, or say a name, and the secret is made"
    )]
    Missing {
        /// Name or ARN.
        id: String,
    },
    /// The role or user lacks a permission.
    #[error(
        "writing the secret `{id}` is not allowed; give the role secretsmanager:{permission} on it (the template's parameter PasswordSecretPrefix), or say another secret"
    )]
    Denied {
        /// Name or ARN.
        id: String,
        /// What is lacking.
        permission: &'static str,
    },
    /// Anything else that Secrets Manager or the network said.
    #[error("the secret `{id}` can't be written: {message}")]
    Unavailable {
        /// Name or ARN.
        id: String,
        /// What was said.
        message: String,
    },
}

/// Keeps passwords: Secrets Manager, or what a test puts in its place.
pub trait Vault {
    /// Shows that the secret can be written, and makes it if it has a name and does not exist. What it holds now stays.
    fn prove(&self, secret: &str) -> impl Future<Output = Result<(), VaultError>>;

    /// Writes what was told once. It replaces what the secret holds, which stays as its previous version.
    fn keep(&self, secret: &str, told: &OneTime) -> impl Future<Output = Result<(), VaultError>>;
}

/// The Secrets Manager of the account and region that the environment names; connected when it is first needed.
#[derive(Debug, Default)]
pub struct SecretsManager {
    client: OnceCell<Client>,
}

impl SecretsManager {
    async fn client(&self) -> &Client {
        self.client.get_or_init(secret::connect).await
    }

    async fn put_proof(&self, secret: &str) -> Result<(), Refusal> {
        let put = self
            .client()
            .await
            .put_secret_value()
            .secret_id(secret)
            .secret_string(PROOF)
            .version_stages(PROOF_STAGE);
        put.send().await.map(drop).map_err(|error| refusal(&error))
    }
}

/// What Secrets Manager refuses with.
enum Refusal {
    Missing,
    Denied,
    Other(String),
}

impl Refusal {
    fn about(self, id: &str, permission: &'static str) -> VaultError {
        let id = id.to_owned();
        match self {
            Self::Missing => VaultError::Missing { id },
            Self::Denied => VaultError::Denied { id, permission },
            Self::Other(message) => VaultError::Unavailable { id, message },
        }
    }
}

fn refusal<E>(error: &SdkError<E>) -> Refusal
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
{
    match error.code() {
        Some("ResourceNotFoundException") => Refusal::Missing,
        Some("AccessDeniedException") => Refusal::Denied,
        _ => Refusal::Other(secret::chain(error)),
    }
}

impl Vault for SecretsManager {
    async fn prove(&self, secret: &str) -> Result<(), VaultError> {
        match self.put_proof(secret).await {
            Ok(()) => return Ok(()),
            Err(Refusal::Missing) if !secret.starts_with("arn:") => {}
            Err(refused) => return Err(refused.about(secret, "PutSecretValue")),
        }
        let creation = self.client().await.create_secret().name(secret);
        let made = creation.secret_string(PROOF).send().await;
        made.map_err(|error| refusal(&error).about(secret, "CreateSecret"))?;
        // Whoever may make a secret may not be allowed to write it afterwards.
        let proven = self.put_proof(secret).await;
        proven.map_err(|refused| refused.about(secret, "PutSecretValue"))
    }

    async fn keep(&self, secret: &str, told: &OneTime) -> Result<(), VaultError> {
        let put = self.client().await.put_secret_value().secret_id(secret);
        let put = put.secret_string(told.document().expose_secret());
        let written = put.send().await;
        written
            .map(drop)
            .map_err(|error| refusal(&error).about(secret, "PutSecretValue"))
    }
}

/// Whether a secret is the one that holds a key, which a password would replace.
#[must_use]
pub fn holds_the_key(secret: &str, key: &KeySource) -> bool {
    let KeySource::Secret { id, .. } = key else {
        return false;
    };
    name_of(secret) == name_of(id) || name_of(secret) == id || secret == name_of(id)
}

/// The name in an ARN, without the six characters that Secrets Manager puts behind it.
fn name_of(secret: &str) -> &str {
    let Some((_, name)) = secret.split_once(":secret:") else {
        return secret;
    };
    match name.rsplit_once('-') {
        Some((name, random)) if random.len() == 6 => name,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWORD: &str = "pass-that-nobody-may-see";

    #[test]
    fn the_password_is_in_the_secret_and_in_no_debug_output() {
        let told = OneTime {
            cluster: "in01-1".into(),
            username: "db_admin".into(),
            password: PASSWORD.into(),
        };
        let document = told.document();
        let read: serde_json::Value = serde_json::from_str(document.expose_secret()).unwrap();
        let expected =
            json!({"cluster_id": "in01-1", "username": "db_admin", "password": PASSWORD});
        assert_eq!(read, expected);
        assert!(!format!("{told:?} {document:?}").contains(PASSWORD));
    }

    #[test]
    fn the_keys_own_secret_is_known_by_name_and_by_arn() {
        let arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:zilliz/key-AbC123";
        let key = |id: &str| KeySource::Secret {
            id: id.into(),
            field: None,
        };
        for (secret, id) in [
            ("zilliz/key", "zilliz/key"),
            (arn, "zilliz/key"),
            ("zilliz/key", arn),
            (arn, arn),
        ] {
            assert!(holds_the_key(secret, &key(id)), "{secret} {id}");
        }
        for secret in ["zilliz/other", "zilliz", "zilliz/key-2"] {
            assert!(!holds_the_key(secret, &key(arn)), "{secret}");
        }
        assert!(!holds_the_key("zilliz/key", &KeySource::Given("k".into())));
    }
}
