//! GET `/v1/namespaces`: pages of names, and the ways a listing can go wrong.

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::error::{ApiError, Result};
use crate::route::parameter;
use crate::state::{Context, Reply, State};
use crate::store::object_key;

const DEFAULT_PAGE: usize = 100;
const LARGEST_PAGE: usize = 1000;

#[derive(Serialize)]
struct Page<'a> {
    namespaces: Vec<Summary<'a>>,
    next_cursor: Option<String>,
}

#[derive(Serialize)]
struct Summary<'a> {
    id: &'a str,
}

/// The inside of a cursor, as the live service's were seen to be.
#[derive(Serialize, Deserialize)]
struct Cursor {
    continuation_token: Option<String>,
    start_after: String,
}

impl Cursor {
    fn encode(continuation_token: Option<&str>, start_after: String) -> String {
        let cursor = Self {
            continuation_token: continuation_token.map(str::to_owned),
            start_after,
        };
        STANDARD_NO_PAD.encode(serde_json::to_vec(&cursor).unwrap_or_default())
    }

    fn decode(text: &str) -> Option<Self> {
        let bytes = STANDARD_NO_PAD.decode(text.trim_end_matches('=')).ok()?;
        serde_json::from_slice(&bytes).ok()
    }
}

pub(crate) fn list(state: &State, context: &Context<'_>) -> Result<Reply> {
    let query = &context.call.query;
    let prefix = parameter(query, "prefix").unwrap_or_default();
    let size = page_size(parameter(query, "page_size"))?;
    let cursor = parameter(query, "cursor").filter(|cursor| !cursor.is_empty());
    let after = match &cursor {
        Some(text) => Some(
            Cursor::decode(text)
                .ok_or_else(|| ApiError::bad("invalid cursor"))?
                .start_after,
        ),
        None => None,
    };
    let scope = (
        context.key.organisation.as_str(),
        context.key.region.as_str(),
    );
    if context.fault.repeat_page
        && let Some(after) = &after
    {
        // Another text for the same place: the client sees names twice, but no cursor twice.
        let mut names: Vec<&str> = state
            .store
            .list_back(scope, &prefix, after)
            .take(size)
            .collect();
        names.reverse();
        return Ok(page(
            names,
            Some(Cursor::encode(Some("again"), after.clone())),
        ));
    }
    let skip = if context.fault.drop_page { size } else { 0 };
    let names = state
        .store
        .list(scope, &prefix, after.as_deref())
        .skip(skip);
    let names: Vec<&str> = names.take(size).collect();
    let mut next = names
        .last()
        .filter(|_| names.len() == size) // so the last page may be empty
        .map(|last| Cursor::encode(None, object_key(last)));
    if context.fault.loop_cursor && cursor.is_some() {
        next = cursor.map(Cow::into_owned);
    }
    Ok(page(names, next))
}

fn page(names: Vec<&str>, next_cursor: Option<String>) -> Reply {
    Reply::ok(&Page {
        namespaces: names.into_iter().map(|id| Summary { id }).collect(),
        next_cursor,
    })
}

fn page_size(text: Option<Cow<'_, str>>) -> Result<usize> {
    let Some(text) = text else {
        return Ok(DEFAULT_PAGE);
    };
    text.parse()
        .ok()
        .filter(|size| (1..=LARGEST_PAGE).contains(size))
        .ok_or_else(|| {
            ApiError::bad(format!(
                "page_size must be between 1 and {LARGEST_PAGE}, got '{text}'"
            ))
        })
}
