//! From method and path to the operation meant. Knows nothing of what the operations do.

use std::borrow::Cow;

use crate::call::Method;
use crate::error::{ApiError, Result};

/// What is asked for. The names are those of fault rules, the bill and the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Op {
    List,
    Metadata,
    PatchMetadata,
    Schema,
    UpdateSchema,
    Query,
    ExplainQuery,
    Recall,
    CacheWarm,
    Exists,
    Write,
    Copy,
    Branch,
    StartCopy,
    Poll,
    Delete,
}

impl Op {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Metadata => "metadata",
            Self::PatchMetadata => "patch_metadata",
            Self::Schema => "schema",
            Self::UpdateSchema => "update_schema",
            Self::Query => "query",
            Self::ExplainQuery => "explain_query",
            Self::Recall => "recall",
            Self::CacheWarm => "cache_warm",
            Self::Exists => "exists",
            Self::Write => "write",
            Self::Copy => "copy",
            Self::Branch => "branch",
            Self::StartCopy => "start_copy",
            Self::Poll => "poll",
            Self::Delete => "delete",
        }
    }
}

/// A request's destination inside the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route<'a> {
    pub(crate) op: Op,
    /// The region in the path; empty when the path had none.
    pub(crate) region: Cow<'a, str>,
    /// Empty for a listing.
    pub(crate) namespace: Cow<'a, str>,
    /// Of a poll.
    pub(crate) token: Cow<'a, str>,
    /// Whether it came in by a `/v1` path, whose answers differ a little.
    pub(crate) v1: bool,
}

/// Reads a path such as `/aws-us-east-1/v2/namespaces/orders/query`.
pub(crate) fn route(method: Method, path: &str) -> Result<Route<'_>> {
    let mut segments: Vec<Cow<'_, str>> = path
        .trim_matches('/')
        .split('/')
        .map(|segment| decode(segment, false))
        .collect();
    let texts: Vec<&str> = segments.iter().map(|segment| &**segment).collect();
    let (begin, version, rest) = match texts.as_slice() {
        [version @ ("v1" | "v2"), "namespaces", rest @ ..] => (0, *version, rest),
        [_, version @ ("v1" | "v2"), "namespaces", rest @ ..] => (1, *version, rest),
        _ => return Err(ApiError::new(404, format!("🤷 no such path: {path}"))),
    };
    let op = operation(method, version, rest)
        .ok_or_else(|| ApiError::new(405, format!("💔 {} not allowed at {path}", method.name())))?;
    let v1 = version == "v1";
    let mut take = |at: usize| segments.get_mut(at).map(std::mem::take).unwrap_or_default();
    Ok(Route {
        op,
        region: if begin == 0 { "".into() } else { take(0) },
        namespace: take(begin + 2),
        token: take(begin + 4),
        v1,
    })
}

/// Versions are mixed on purpose: the service answers some paths under both.
fn operation(method: Method, version: &str, rest: &[&str]) -> Option<Op> {
    use Method::{Delete, Get, Head, Patch, Post};
    let op = match (method, version, rest) {
        (Get, _, []) => Op::List,
        (Post, _, [_]) => Op::Write,
        (Delete, _, [_]) => Op::Delete,
        (Head | Get, "v1", [_]) => Op::Exists,
        (Post, _, [_, "async"]) => Op::StartCopy,
        (Get, _, [_, "operations", _]) => Op::Poll,
        (Get, _, [_, "metadata"]) => Op::Metadata,
        (Patch, _, [_, "metadata"]) => Op::PatchMetadata,
        (Get, _, [_, "schema"]) => Op::Schema,
        (Post, _, [_, "schema"]) => Op::UpdateSchema,
        (Post, _, [_, "query"]) => Op::Query,
        (Post, _, [_, "explain_query"]) => Op::ExplainQuery,
        (Get, _, [_, "hint_cache_warm"]) => Op::CacheWarm,
        (Post, _, [_, "_debug", "recall"]) => Op::Recall,
        _ => return None,
    };
    Some(op)
}

/// Undoes percent-encoding; in a query a `+` is a blank.
pub(crate) fn decode(text: &str, in_query: bool) -> Cow<'_, str> {
    if !text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return text.into();
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match (byte, escape(after)) {
            (b'%', Some(value)) => {
                out.push(value);
                rest = after.get(2..).unwrap_or_default();
            }
            (b'+', _) if in_query => out.push(b' '),
            (other, _) => out.push(*other),
        }
    }
    String::from_utf8_lossy(&out).into_owned().into()
}

fn escape(after: &[u8]) -> Option<u8> {
    let digits = std::str::from_utf8(after.get(..2)?).ok()?;
    u8::from_str_radix(digits, 16).ok()
}

/// The value of a query parameter.
pub(crate) fn parameter<'a>(query: &'a str, name: &str) -> Option<Cow<'a, str>> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| decode(value, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_documented_path_is_known() {
        for (method, path, op) in [
            (Method::Get, "/r/v1/namespaces", Op::List),
            (Method::Post, "/r/v2/namespaces/n", Op::Write),
            (Method::Delete, "/r/v2/namespaces/n", Op::Delete),
            (Method::Post, "/r/v2/namespaces/n/async", Op::StartCopy),
            (Method::Get, "/r/v1/namespaces/n/operations/t", Op::Poll),
            (Method::Get, "/r/v2/namespaces/n/metadata", Op::Metadata),
            (Method::Get, "/v1/namespaces/n/metadata", Op::Metadata),
            (
                Method::Patch,
                "/r/v1/namespaces/n/metadata",
                Op::PatchMetadata,
            ),
            (Method::Get, "/r/v1/namespaces/n/schema", Op::Schema),
            (Method::Post, "/r/v1/namespaces/n/schema", Op::UpdateSchema),
            (Method::Post, "/r/v2/namespaces/n/query", Op::Query),
            (
                Method::Get,
                "/r/v1/namespaces/n/hint_cache_warm",
                Op::CacheWarm,
            ),
            (Method::Post, "/r/v1/namespaces/n/_debug/recall", Op::Recall),
        ] {
            let route = route(method, path).unwrap();
            assert_eq!(route.op, op, "{path}");
        }
        assert_eq!(route(Method::Get, "/nothing").unwrap_err().status, 404);
        assert_eq!(
            route(Method::Patch, "/r/v2/namespaces/n")
                .unwrap_err()
                .status,
            405
        );
    }

    #[test]
    fn names_are_decoded() {
        let route = route(Method::Get, "/r/v1/namespaces/a%2Db/operations/t%zz").unwrap();
        assert_eq!((&*route.namespace, &*route.token), ("a-b", "t%zz"));
        assert_eq!(parameter("prefix=a%20b+c&x=1", "prefix").unwrap(), "a b c");
    }
}
