//! Reading a call before the state is locked: its route, its body (gzip or not), and which write it really is.

use std::io::Read;

use serde_json::Value as Json;

use crate::call::Call;
use crate::error::{ApiError, Result};
use crate::fault::Subject;
use crate::route::{self, Op, Route};

/// Larger bodies are refused, as documented.
const LARGEST_BODY: u64 = 512 * 1024 * 1024;

/// A call that was read.
pub(crate) struct Request<'a> {
    pub(crate) route: Route<'a>,
    /// Reported only after the key was checked.
    pub(crate) body: Result<Json>,
    /// The API key, or nothing.
    pub(crate) key: &'a str,
}

impl<'a> Request<'a> {
    pub(crate) fn read(call: &'a Call) -> Result<Self> {
        let mut route = route::route(call.method, &call.path)?;
        let body = body(call);
        if route.op == Op::Write
            && let Ok(Json::Object(fields)) = &body
        {
            // Null counts as absent, as in every optional field.
            let has = |name| fields.get(name).is_some_and(|value| !value.is_null());
            if has("copy_from_namespace") {
                route.op = Op::Copy;
            } else if has("branch_from_namespace") {
                route.op = Op::Branch;
            }
        }
        Ok(Self {
            route,
            body,
            key: key(call),
        })
    }

    /// What fault rules look at.
    pub(crate) fn subject<'s>(
        &'s self,
        region: &'s str,
        prefix: &'s str,
        has_cursor: bool,
    ) -> Subject<'s> {
        let namespace = match self.route.op {
            Op::List => prefix,
            _ => &*self.route.namespace,
        };
        Subject {
            operation: self.route.op.name(),
            region,
            namespace,
            source: self.source(),
            has_cursor,
            in_background: false,
        }
    }

    fn source(&self) -> Option<&str> {
        let body = self.body.as_ref().ok()?;
        let from = body
            .get("copy_from_namespace")
            .or_else(|| body.get("branch_from_namespace"))?;
        from.as_str()
            .or_else(|| from.get("source_namespace").and_then(Json::as_str))
    }
}

/// The key of an `Authorization: Bearer …` header.
pub(crate) fn key(call: &Call) -> &str {
    let value = call.header("authorization").unwrap_or_default();
    let (scheme, key) = value.split_once(' ').unwrap_or_default();
    if scheme.eq_ignore_ascii_case("bearer") {
        key.trim()
    } else {
        ""
    }
}

fn body(call: &Call) -> Result<Json> {
    let unpacked;
    let bytes = match call.header("content-encoding") {
        Some(encoding) if encoding.eq_ignore_ascii_case("gzip") => {
            unpacked = unpack(&call.body)?;
            unpacked.as_slice()
        }
        _ => call.body.as_slice(),
    };
    if bytes.is_empty() {
        return Ok(Json::Null);
    }
    serde_json::from_slice(bytes).map_err(|error| {
        ApiError::new(
            400,
            format!("Failed to parse the request body as JSON: {error}"),
        )
    })
}

fn unpack(packed: &[u8]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(packed)
        .take(LARGEST_BODY)
        .read_to_end(&mut bytes)
        .map_err(|error| {
            ApiError::new(
                400,
                format!("Failed to decompress the request body: {error}"),
            )
        })?;
    Ok(bytes)
}
