//! One turbopuffer region, through the official client: one attempt per call, its answers in our words.
//!
//! The client's own retries are off, because it would repeat the POST that starts a copy. A key that is refused is
//! fetched again once. Nothing here decides anything.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::header::HeaderMap;
use turbopuffer::types::{
    AggregateBy, CopyFromNamespaceOperation, CopyFromNamespaceOperationResult, Encryption, Filter,
    Id, QueryBilling, QueryConfigConsistency, QueryConfigConsistencyLevel, RankBy,
    RankByAttributeOrder, Vector, VectorEncoding, WriteResult,
};
use turbopuffer::{ApiError, Client, Error};

use super::{
    Copied, CopyOrder, Metadata, Page, Progress, Queried, Region, Row, RowId, Rows, Service,
    ServiceError, Started, Wanted,
};
use crate::certificate::DeletionCertificate;
use crate::name::Namespace;
use crate::secret::{ApiKey, Key};

/// The most the service puts on one page (contract section 4).
const PAGE_SIZE: u32 = 1_000;
/// One attempt. Copies are started asynchronously, so no call has a reason to be slower.
const ATTEMPT_DEADLINE: Duration = Duration::from_secs(30);
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// A frozen sandbox wakes up with connections the other side closed long ago.
const IDLE_CONNECTION: Duration = Duration::from_secs(20);
/// The attribute that the client's types hold apart from the others.
const VECTOR: &str = "vector";
/// How much of an unreadable answer is worth showing.
const SHOWN: usize = 200;

/// The one place where the HTTP client is built: time-outs, pool and TLS.
///
/// Redirects are refused, because a DELETE must not end up somewhere else.
pub fn http_client() -> Result<reqwest::Client, String> {
    reqwest::Client::builder()
        .connect_timeout(CONNECT_DEADLINE)
        .pool_idle_timeout(IDLE_CONNECTION)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|error| format!("the HTTP client can't be built: {error}"))
}

/// Encryption with a customer's own key, given by its ARN or resource name.
pub fn customer_managed(key_name: &str) -> Result<Encryption, String> {
    // The client's type can't be built by name outside its crate; its JSON form is the contract's (section 7).
    serde_json::from_value(serde_json::json!({"mode": "customer-managed", "key_name": key_name}))
        .map_err(|error| format!("BACKUP_ENCRYPTION_KEY can't be used: {error}"))
}

/// Where copies come from, as their destination's region needs to know it.
#[derive(Clone, Debug)]
pub struct CopySource {
    /// Region of the sources.
    pub region: Region,
    /// Key of the sources' organisation, when it is another one.
    pub api_key: Option<Arc<ApiKey>>,
    /// How the copies are to be encrypted; `None` inherits.
    pub encryption: Option<Encryption>,
}

/// One region seen with one key.
#[derive(Debug)]
pub struct Turbopuffer {
    region: Region,
    base_url: String,
    http: reqwest::Client,
    api_key: Arc<ApiKey>,
    copies: Option<CopySource>,
    client: Mutex<Option<(u64, Client)>>,
    queried: Mutex<Queried>,
}

impl Turbopuffer {
    /// A region at `base_url` (its `{region}` already filled in). `copies` is needed by a region that receives copies.
    #[must_use]
    pub fn new(
        region: Region,
        base_url: String,
        http: reqwest::Client,
        api_key: Arc<ApiKey>,
        copies: Option<CopySource>,
    ) -> Self {
        Self {
            region,
            base_url,
            http,
            api_key,
            copies,
            client: Mutex::new(None),
            queried: Mutex::default(),
        }
    }

    /// Adds up what an answer says that it is billed with.
    fn add_query(&self, billing: &QueryBilling) {
        let mut sum = self.queried.lock().unwrap_or_else(PoisonError::into_inner);
        *sum = *sum
            + Queried {
                queries: 1,
                bytes_queried: billing.billable_logical_bytes_queried,
                bytes_returned: billing.billable_logical_bytes_returned,
            };
    }

    /// One attempt, or two when the key was refused and there is a newer one.
    async fn attempt<T>(
        &self,
        request: impl AsyncFn(Client) -> Result<T, Error>,
    ) -> Result<T, ServiceError> {
        let key = self.api_key.current().await?;
        let refused = match self.send(&key, &request).await {
            Err(error @ (ServiceError::Unauthorized { .. } | ServiceError::Forbidden { .. })) => {
                error
            }
            answer => return answer,
        };
        match self.api_key.renewed(&key).await? {
            Some(newer) => self.send(&newer, &request).await,
            None => Err(refused),
        }
    }

    async fn send<T>(
        &self,
        key: &Key,
        request: &impl AsyncFn(Client) -> Result<T, Error>,
    ) -> Result<T, ServiceError> {
        let answer = request(self.client(key)?).await;
        answer.map_err(|error| self.in_our_words(without_key(error, key)))
    }

    /// The official client for this key; built once per key, sharing one connection pool.
    fn client(&self, key: &Key) -> Result<Client, ServiceError> {
        let mut cached = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, client)) = cached.as_ref().filter(|(fetch, _)| *fetch == key.fetch()) {
            return Ok(client.clone());
        }
        let client = Client::builder()
            .api_key(key.expose())
            .base_url(&self.base_url)
            .http_client(self.http.clone())
            .timeout(ATTEMPT_DEADLINE)
            .max_retries(0)
            .telemetry(false)
            // Any other value than `respond-async` keeps the client from waiting for an operation behind our back.
            .default_header("prefer", "return=representation")
            .build()
            .map_err(|error| ServiceError::Unreachable {
                region: self.region.clone(),
                message: error.to_string(),
            })?;
        *cached = Some((key.fetch(), client.clone()));
        Ok(client)
    }

    /// A row of an answer. What the client's types hold apart is put together again; nothing is left out.
    fn row(&self, row: turbopuffer::types::Row) -> Result<Row, ServiceError> {
        let unreadable = |message| ServiceError::Unreadable {
            region: self.region.clone(),
            message,
        };
        let id = match row.id {
            Id::Int(number) => RowId::Number(number),
            Id::String(text) => RowId::Text(text),
            other => {
                let found = shown(&other.to_string());
                let message = format!("a row's id is {found}, neither a whole number nor a text");
                return Err(unreadable(message));
            }
        };
        let mut attributes = row.extra;
        match row.vector {
            None => {}
            Some(Vector::String(base64)) => {
                attributes.insert(VECTOR.to_owned(), base64.into());
            }
            Some(Vector::Array(elements)) => {
                attributes.insert(VECTOR.to_owned(), elements.into());
            }
            Some(Vector::Other(value)) => {
                attributes.insert(VECTOR.to_owned(), value);
            }
            Some(_) => {
                return Err(unreadable(format!(
                    "the vector of row {id} has an unknown form"
                )));
            }
        }
        Ok(Row { id, attributes })
    }

    fn in_our_words(&self, error: Error) -> ServiceError {
        let region = self.region.clone();
        match error {
            Error::Api(api) => refusal(region, &api),
            Error::Timeout | Error::OperationTimeout { .. } => ServiceError::NoAnswer {
                region,
                message: format!("nothing came within {} seconds", ATTEMPT_DEADLINE.as_secs()),
            },
            Error::Connection(error) if error.is_connect() => ServiceError::Unreachable {
                region,
                message: innermost(&error),
            },
            Error::Connection(error) if error.is_body() || error.is_decode() => {
                ServiceError::Unreadable {
                    region,
                    message: innermost(&error),
                }
            }
            Error::Connection(error) => ServiceError::NoAnswer {
                region,
                message: innermost(&error),
            },
            Error::Decode { source, body } => ServiceError::Unreadable {
                region,
                message: format!("{source}; it begins with {:?}", shown(&body)),
            },
            other => ServiceError::Rejected {
                region,
                status: 0,
                message: other.to_string(),
            },
        }
    }
}

/// A proxy may repeat a request in its answer, and the key with it.
fn without_key(error: Error, key: &Key) -> Error {
    let masked = |text: &str| text.replace(key.expose(), "[key]");
    match error {
        Error::Api(mut api) => {
            api.message = masked(&api.message);
            Error::Api(api)
        }
        Error::Decode { source, body } => Error::Decode {
            source,
            body: masked(&body),
        },
        other => other,
    }
}

/// What an answer with an error status means.
#[must_use]
pub fn refusal(region: Region, api: &ApiError) -> ServiceError {
    let status = api.status.as_u16();
    let message = shown(&api.message);
    let retry_after = retry_after(&api.headers);
    match status {
        401 => ServiceError::Unauthorized { region, message },
        403 => ServiceError::Forbidden { region, message },
        // Whatever answers without JSON is not the service, so it can't say that something is not there.
        404 if api.body.is_none() => ServiceError::Unreadable {
            region,
            message: format!("HTTP status 404: {message}"),
        },
        404 => ServiceError::NotFound { region, message },
        400 if message.to_ascii_lowercase().contains("already exists") => {
            ServiceError::AlreadyExists { region }
        }
        429 => ServiceError::Throttled {
            region,
            status,
            message,
            retry_after,
        },
        503 if retry_after.is_some() => ServiceError::Throttled {
            region,
            status,
            message,
            retry_after,
        },
        408 | 409 | 500.. => ServiceError::Unavailable {
            region,
            status,
            message,
            retry_after,
        },
        // Redirects are not followed: whoever answers with one is not the service.
        ..400 => ServiceError::Unreadable {
            region,
            message: format!("HTTP status {status}"),
        },
        _ => ServiceError::Rejected {
            region,
            status,
            message,
        },
    }
}

/// The service's wish in `retry-after-ms` or `retry-after`: seconds, or a date on the service's own clock.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let number = |name: &str| text(name)?.parse::<f64>().ok();
    let seconds = number("retry-after-ms")
        .map(|ms| ms / 1_000.0)
        .or_else(|| number("retry-after"));
    if let Some(seconds) = seconds {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let date = rfc2822::DateTimeParser::new()
        .parse_timestamp(text("retry-after")?)
        .ok()?;
    Duration::try_from(date.duration_since(answered_at(headers)?)).ok()
}

/// The service's clock: the `Date` of its answer.
pub(crate) fn answered_at(headers: &HeaderMap) -> Option<Timestamp> {
    rfc2822::DateTimeParser::new()
        .parse_timestamp(headers.get("date")?.as_bytes())
        .ok()
}

/// The beginning of a text that somebody else wrote, on one line, and without anything that looks like a key.
pub(crate) fn shown(text: &str) -> String {
    let words = text
        .split_whitespace()
        .map(|word| match word.split_once("tpuf_") {
            Some((before, _)) => format!("{before}[key]"),
            None => word.to_owned(),
        });
    let line = words.collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

/// The cause at the end of the chain, which is what an operator can act on.
pub(crate) fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// Only ids behind this one.
fn behind(id: &RowId) -> Filter {
    Filter::gt("id", id)
}

fn copied(result: &WriteResult) -> Copied {
    let query = result.billing.query.as_ref();
    Copied {
        rows: result.rows_affected,
        bytes_written: result.billing.billable_logical_bytes_written,
        bytes_returned: query.map_or(0, |query| query.billable_logical_bytes_returned),
    }
}

/// `None` for a namespace that is not there; every other error stays one.
fn if_there<T>(answer: Result<T, ServiceError>) -> Result<Option<T>, ServiceError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(ServiceError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Service for Turbopuffer {
    fn region(&self) -> &str {
        &self.region
    }

    fn queried(&self) -> Queried {
        *self.queried.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn list(&self, prefix: &str, cursor: Option<&str>) -> Result<Page, ServiceError> {
        self.attempt(async |client| {
            let mut request = client.namespaces().prefix(prefix).page_size(PAGE_SIZE);
            if let Some(cursor) = cursor {
                request = request.cursor(cursor);
            }
            let page = request.send().await?;
            let next = page
                .next_cursor()
                .filter(|cursor| !cursor.is_empty())
                .map(str::to_owned);
            Ok(Page {
                names: page
                    .into_items()
                    .into_iter()
                    .map(|summary| summary.id)
                    .collect(),
                next,
            })
        })
        .await
    }

    async fn metadata(&self, namespace: &Namespace) -> Result<Option<Metadata>, ServiceError> {
        let answer = self
            .attempt(async |client| {
                let answer = client
                    .namespace(namespace.as_str())
                    .metadata()
                    .send_with_response()
                    .await?;
                Ok(Metadata {
                    created_at: answer.data.created_at,
                    updated_at: answer.data.updated_at,
                    read_only: answer.data.read_only.unwrap_or(false),
                    schema: serde_json::to_value(&answer.data.schema).map_err(Error::Json)?,
                    approx_rows: answer.data.approx_row_count,
                    approx_bytes: answer.data.approx_logical_bytes,
                    answered_at: answered_at(&answer.headers),
                })
            })
            .await;
        if_there(answer)
    }

    async fn count(&self, namespace: &Namespace) -> Result<Option<u64>, ServiceError> {
        let answer = self
            .attempt(async |client| {
                let count = BTreeMap::from([("rows".to_owned(), AggregateBy::count())]);
                // Strong consistency is the service's default (contract section 10).
                client
                    .namespace(namespace.as_str())
                    .query()
                    .aggregate_by(count)
                    .send()
                    .await
            })
            .await;
        let Some(answer) = if_there(answer)? else {
            return Ok(None);
        };
        self.add_query(&answer.billing);
        let rows = answer
            .aggregations
            .get("rows")
            .and_then(serde_json::Value::as_u64);
        rows.map(Some).ok_or_else(|| ServiceError::Unreadable {
            region: self.region.clone(),
            message: "the answer to a count holds no count".into(),
        })
    }

    async fn rows(
        &self,
        namespace: &Namespace,
        wanted: Wanted<'_>,
    ) -> Result<Option<Rows>, ServiceError> {
        let answer = self
            .attempt(async |client| {
                let strong =
                    QueryConfigConsistency::new().level(QueryConfigConsistencyLevel::Strong);
                let query = client
                    .namespace(namespace.as_str())
                    .query()
                    .rank_by(RankBy::attribute("id", RankByAttributeOrder::Asc))
                    .consistency(strong)
                    .vector_encoding(VectorEncoding::Base64);
                let (whole, filter, limit) = match wanted {
                    Wanted::Whole { after, limit } => (true, after.map(behind), limit),
                    Wanted::Ids { after, limit } => (false, after.map(behind), limit),
                    Wanted::Of(ids) => (
                        true,
                        Some(Filter::in_("id", ids)),
                        u32::try_from(ids.len()).unwrap_or(u32::MAX),
                    ),
                };
                let query = query.include_attributes(whole).limit(u64::from(limit));
                match filter {
                    Some(filter) => query.filters(filter).send().await,
                    None => query.send().await,
                }
            })
            .await;
        let Some(answer) = if_there(answer)? else {
            return Ok(None);
        };
        self.add_query(&answer.billing);
        let rows = answer.rows.into_iter().map(|row| self.row(row));
        Ok(Some(Rows {
            rows: rows.collect::<Result<_, _>>()?,
            bytes_queried: answer.billing.billable_logical_bytes_queried,
            bytes_returned: answer.billing.billable_logical_bytes_returned,
        }))
    }

    async fn start_copy(&self, order: &CopyOrder<'_>) -> Result<Started, ServiceError> {
        let copies = self.copies.as_ref().ok_or_else(|| ServiceError::Rejected {
            region: self.region.clone(),
            status: 0,
            message: "this region was not set up to receive copies".into(),
        })?;
        let source_key = match &copies.api_key {
            Some(key) => Some(key.current().await?),
            None => None,
        };
        self.attempt(async |client| {
            let mut request = client
                .namespace(order.destination.as_str())
                .start_copy_from(order.source.as_str());
            if copies.region != self.region {
                request = request.source_region(&copies.region);
            }
            if let Some(key) = &source_key {
                request = request.source_api_key(key.expose());
            }
            if let Some(encryption) = &copies.encryption {
                request = request.dest_encryption(encryption.clone());
            }
            match request.send().await {
                Ok(started) => Ok(Started::Running(started.token)),
                Err(Error::Decode { source, body }) => match serde_json::from_str(&body) {
                    Ok(result) => Ok(Started::Finished(copied(&result))),
                    Err(_) => Err(Error::Decode { source, body }),
                },
                Err(error) => Err(match &source_key {
                    Some(key) => without_key(error, key),
                    None => error,
                }),
            }
        })
        .await
    }

    async fn poll_copy(
        &self,
        destination: &Namespace,
        token: &str,
    ) -> Result<Progress, ServiceError> {
        let operation = self
            .attempt(async |client| {
                client
                    .namespace(destination.as_str())
                    .poll_copy_from(token)
                    .send()
                    .await
            })
            .await?;
        Ok(match operation {
            CopyFromNamespaceOperation::Running(running) => {
                Progress::Running(running.progress.as_deref().map(shown))
            }
            CopyFromNamespaceOperation::Finished(finished) => match finished.result {
                CopyFromNamespaceOperationResult::Success(result) => {
                    Progress::Finished(copied(&result))
                }
                CopyFromNamespaceOperationResult::Error(error) => {
                    let status = u16::try_from(error.status_code)
                        .ok()
                        .and_then(|status| status.try_into().ok());
                    let status = status.unwrap_or(reqwest::StatusCode::INTERNAL_SERVER_ERROR);
                    let mut api = ApiError::new(status, error.detail.error);
                    api.body = Some(serde_json::Value::Null);
                    Progress::Failed(refusal(self.region.clone(), &api))
                }
                _ => Progress::Running(None),
            },
            // A state this client does not know is not an end.
            _ => Progress::Running(None),
        })
    }

    async fn set_read_only(&self, namespace: &Namespace, on: bool) -> Result<bool, ServiceError> {
        let shown = self
            .attempt(async |client| {
                client
                    .namespace(namespace.as_str())
                    .update_metadata()
                    .read_only(on)
                    .send()
                    .await
            })
            .await?;
        Ok(shown.read_only.unwrap_or(false))
    }

    async fn delete(&self, certificate: &DeletionCertificate) -> Result<(), ServiceError> {
        let answer = self
            .attempt(async |client| {
                client
                    .namespace(certificate.namespace())
                    .delete_all()
                    .send()
                    .await
            })
            .await;
        if_there(answer).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(status: u16, message: &str) -> &'static str {
        let mut api = ApiError::new(reqwest::StatusCode::from_u16(status).unwrap(), message);
        api.body = Some(serde_json::json!({"error": message}));
        refusal("aws-us-east-1".into(), &api).word()
    }

    #[test]
    fn every_status_has_its_meaning() {
        for (status, message, meaning) in [
            (
                400,
                "💔 Destination namespace `x` already exists",
                "already_exists",
            ),
            (
                400,
                "destination namespace ALREADY EXISTS",
                "already_exists",
            ),
            (
                400,
                "💔 Source and destination namespace can't be the same",
                "rejected",
            ),
            (401, "no", "unauthorized"),
            (403, "no", "forbidden"),
            (404, "🤷 namespace 'x' was not found", "not_found"),
            (409, "index still building", "unavailable"),
            (422, "Failed to deserialize", "rejected"),
            (429, "slow down", "throttled"),
            (302, "elsewhere", "unreadable"),
            (503, "<html>", "unavailable"),
        ] {
            assert_eq!(word(status, message), meaning, "{status} {message}");
        }
    }

    #[test]
    fn only_json_can_say_that_something_is_not_there() {
        let page = ApiError::new(reqwest::StatusCode::NOT_FOUND, "<html>no route</html>");
        assert_eq!(refusal("aws-us-east-1".into(), &page).word(), "unreadable");
    }

    #[test]
    fn nothing_that_looks_like_a_key_is_shown() {
        let echo = shown("malformed header `authorization: Bearer tpuf_abc123`, really");
        assert_eq!(echo, "malformed header `authorization: Bearer [key] really");
    }

    #[test]
    fn a_long_page_is_shown_by_its_beginning_on_one_line() {
        let page = format!("<html>\n  <body>{}", "x".repeat(10_000));
        let shown = shown(&page);
        assert!(
            shown.starts_with("<html> <body>xxx")
                && shown.ends_with('…')
                && shown.chars().count() == SHOWN + 1
        );
    }

    #[test]
    fn a_wish_to_be_asked_later_is_read_in_both_forms() {
        let headers = |name: &'static str, value: &'static str| {
            HeaderMap::from_iter([(
                name.parse().unwrap(),
                reqwest::header::HeaderValue::from_static(value),
            )])
        };
        assert_eq!(
            retry_after(&headers("retry-after", "2")),
            Some(Duration::from_secs(2))
        );
        assert_eq!(
            retry_after(&headers("retry-after-ms", "250")),
            Some(Duration::from_millis(250))
        );
        assert_eq!(retry_after(&headers("retry-after", "-1")), None);
        assert_eq!(retry_after(&HeaderMap::new()), None);
        let mut dated = headers("retry-after", "Sat, 21 Nov 2026 02:00:30 GMT");
        assert_eq!(
            retry_after(&dated),
            None,
            "a date says nothing without the service's own"
        );
        dated.insert("date", "Sat, 21 Nov 2026 02:00:00 GMT".parse().unwrap());
        assert_eq!(retry_after(&dated), Some(Duration::from_secs(30)));
    }
}
