//! One request to Zilliz Cloud's control plane and its answer, over HTTPS.
//!
//! One attempt, with no retry and no judgement: [`super::client`] has the patience and reads the envelope. Tests put the
//! emulator's core in its place.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::Method;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};

use super::tiers::Deletable;
use crate::secret::Key;
use crate::service::turbopuffer::{answered_at, innermost, retry_after};

/// An answer is never larger: a page has a hundred items of about a kilobyte.
const LARGEST_ANSWER: u64 = 8 * 1024 * 1024;

/// A request, without its key.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    /// Behind `/v2/`, one segment each; they are escaped on the way.
    pub path: &'a [&'a str],
    /// The query, in its order.
    pub query: &'a [(&'a str, String)],
    /// The JSON of a POST; `None` is a GET.
    pub body: Option<&'a [u8]>,
}

/// What came back, whatever its status. Its debug output leaves the body out, which may hold a password.
#[derive(Clone, Default)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The service's name for the request (`requestid`), which its support asks for.
    pub request_id: Option<String>,
    /// The service's clock (`Date`).
    pub answered_at: Option<Timestamp>,
    /// When the service wants to be asked again.
    pub retry_after: Option<Duration>,
    /// The body, as it came.
    pub body: Vec<u8>,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answer({}, {} bytes)", self.status, self.body.len())
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The request never left.
    Unreachable(String),
    /// It may have been carried out.
    NoAnswer(String),
}

/// Carries one request to the service.
pub trait Transport {
    /// Sends it once. The key goes into a header and nowhere else.
    fn send(&self, call: &Call<'_>, key: &Key) -> impl Future<Output = Result<Answer, Lost>>;

    /// Sends a DELETE once, for which there is no other way than this.
    fn delete(&self, backup: &Deletable, key: &Key) -> impl Future<Output = Result<Answer, Lost>>;
}

/// The service itself, at one address.
#[derive(Clone, Debug)]
pub struct Https {
    http: reqwest::Client,
    base_url: reqwest::Url,
}

impl Https {
    /// `base_url` without `/v2`, such as `https://api.cloud.zilliz.com`.
    ///
    /// # Errors
    /// When it is no URL that a path can stand behind; the configuration has refused it before.
    pub fn new(http: reqwest::Client, base_url: &str) -> Result<Self, String> {
        let url = reqwest::Url::parse(base_url).ok();
        let url = url.filter(|url| !url.cannot_be_a_base());
        url.map(|base_url| Self { http, base_url })
            .ok_or_else(|| format!("`{base_url}` is no URL"))
    }

    async fn carry(&self, method: Method, call: &Call<'_>, key: &Key) -> Result<Answer, Lost> {
        let bearer = HeaderValue::try_from(format!("Bearer {}", key.expose()));
        let mut bearer = bearer.map_err(|_| Lost::Unreachable("the key is no header".into()))?;
        bearer.set_sensitive(true);
        let mut request = self
            .http
            .request(method, self.url(call))
            .header(AUTHORIZATION, bearer)
            .header(ACCEPT, "application/json");
        if let Some(body) = call.body {
            request = request
                .header(CONTENT_TYPE, "application/json")
                .body(body.to_vec());
        }
        let answer = request.send().await.map_err(|error| lost(&error))?;
        let headers = answer.headers();
        let request_id = headers.get("requestid").and_then(|id| id.to_str().ok());
        let mut read = Answer {
            status: answer.status().as_u16(),
            request_id: request_id.map(str::to_owned),
            answered_at: answered_at(headers),
            retry_after: retry_after(headers),
            body: Vec::new(),
        };
        if answer
            .content_length()
            .is_some_and(|length| length > LARGEST_ANSWER)
        {
            return Err(Lost::NoAnswer(
                "the answer is too large to be the service's".into(),
            ));
        }
        let body = answer.bytes().await.map_err(|error| lost(&error))?;
        read.body = body.into();
        Ok(read)
    }

    fn url(&self, call: &Call<'_>) -> reqwest::Url {
        let mut url = self.base_url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push("v2").extend(call.path);
        }
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(call.query);
        }
        url
    }
}

impl Transport for Https {
    async fn send(&self, call: &Call<'_>, key: &Key) -> Result<Answer, Lost> {
        let method = if call.body.is_some() {
            Method::POST
        } else {
            Method::GET
        };
        self.carry(method, call, key).await
    }

    async fn delete(&self, backup: &Deletable, key: &Key) -> Result<Answer, Lost> {
        let call = Call {
            path: &backup.path(),
            query: &[],
            body: None,
        };
        self.carry(Method::DELETE, &call, key).await
    }
}

fn lost(error: &reqwest::Error) -> Lost {
    if error.is_connect() || error.is_builder() {
        return Lost::Unreachable(innermost(error));
    }
    Lost::NoAnswer(innermost(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::turbopuffer::http_client;

    #[test]
    fn addresses_keep_their_path_and_ids_are_escaped() {
        for (base, url) in [
            (
                "https://api.example",
                "https://api.example/v2/clusters/in01%2F..%2Fx?pageSize=100",
            ),
            (
                "http://127.0.0.1:7/zilliz/",
                "http://127.0.0.1:7/zilliz/v2/clusters/in01%2F..%2Fx?pageSize=100",
            ),
        ] {
            let https = Https::new(http_client().unwrap(), base).unwrap();
            let call = Call {
                path: &["clusters", "in01/../x"],
                query: &[("pageSize", "100".to_owned())],
                body: None,
            };
            assert_eq!(https.url(&call).as_str(), url);
        }
        assert!(Https::new(http_client().unwrap(), "mailto:x@example").is_err());
    }
}
