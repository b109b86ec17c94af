//! The journal's bucket: region, endpoint and credentials as every AWS tool finds them.
//!
//! What it must never do: keep credentials for longer than a moment, or show them.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use object_store::aws::{AmazonS3Builder, AwsCredential};
use object_store::{ClientOptions, CredentialProvider, Error, ObjectStore, RetryConfig};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::store::{ATTEMPT_DEADLINE, chain};
use super::{JournalError, JournalUrl};

const CONNECT_DEADLINE: Duration = Duration::from_secs(3);
/// A frozen sandbox wakes up with connections the other side closed long ago.
const IDLE_CONNECTION: Duration = Duration::from_secs(20);
/// The chain is asked again after this time, long before any credentials it hands out have run out.
const KEEP_CREDENTIALS: Duration = Duration::from_mins(1);

/// The bucket, in `region` or else the environment's, with the credentials of the default chain. Sends nothing to it.
pub(super) async fn connect(
    url: &JournalUrl,
    bucket: &str,
    region: Option<&str>,
) -> Result<Arc<dyn ObjectStore>, JournalError> {
    let mut loader = aws_config::defaults(BehaviorVersion::latest());
    if let Some(region) = region {
        loader = loader.region(Region::new(region.to_owned()));
    }
    let config = loader.load().await;
    let place = || url.to_string();
    let region = config.region().ok_or_else(|| JournalError::Region {
        place: place(),
        message: "neither the environment nor a profile names one".into(),
    })?;
    let chain_of_providers =
        config
            .credentials_provider()
            .ok_or_else(|| JournalError::NoCredentials {
                place: place(),
                message: "no provider is configured".into(),
            })?;
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_region(region.as_ref())
        .with_credentials(Arc::new(DefaultChain {
            provider: chain_of_providers,
            kept: Mutex::new(None),
        }))
        .with_client_options(client_options())
        // Attempts are repeated by `store`, which looks before it repeats a write.
        .with_retry(RetryConfig {
            max_retries: 0,
            ..RetryConfig::default()
        });
    if let Some(endpoint) = endpoint(&config) {
        let http = endpoint.starts_with("http://");
        builder = builder.with_endpoint(endpoint).with_allow_http(http);
    }
    let s3 = builder.build().map_err(|error| JournalError::Unreachable {
        place: place(),
        message: chain(&error),
    })?;
    Ok(Arc::new(s3))
}

fn client_options() -> ClientOptions {
    ClientOptions::new()
        .with_connect_timeout(CONNECT_DEADLINE)
        .with_timeout(ATTEMPT_DEADLINE)
        .with_pool_idle_timeout(IDLE_CONNECTION)
}

/// S3's own endpoint before that of all services, as the SDKs have it. Paths then begin with the bucket.
fn endpoint(config: &SdkConfig) -> Option<String> {
    let of_s3 = std::env::var("AWS_ENDPOINT_URL_S3").ok();
    of_s3
        .filter(|endpoint| !endpoint.is_empty())
        .or_else(|| config.endpoint_url().map(str::to_owned))
}

/// The default chain of aws-config, as `object_store` asks for credentials: before every request.
#[derive(Debug)]
struct DefaultChain {
    provider: SharedCredentialsProvider,
    kept: Mutex<Option<(Instant, Arc<AwsCredential>)>>,
}

#[async_trait]
impl CredentialProvider for DefaultChain {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> Result<Arc<AwsCredential>, Error> {
        let mut kept = self.kept.lock().await;
        if let Some((since, credential)) = kept.as_ref()
            && since.elapsed() < KEEP_CREDENTIALS
        {
            return Ok(Arc::clone(credential));
        }
        let fetched = self.provider.provide_credentials().await;
        let fetched = fetched.map_err(|source| Error::Unauthenticated {
            path: String::new(),
            source: source.into(),
        })?;
        let credential = Arc::new(AwsCredential {
            key_id: fetched.access_key_id().to_owned(),
            secret_key: fetched.secret_access_key().to_owned(),
            token: fetched.session_token().map(str::to_owned),
        });
        *kept = Some((Instant::now(), Arc::clone(&credential)));
        Ok(credential)
    }
}
