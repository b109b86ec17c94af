//! What variables and document have in common: how a text becomes a region, an address, a key, and what is wrong with it.
//!
//! Every error is the end of a sentence that begins with the variable or the path.

use std::ops::RangeInclusive;

use secrecy::SecretString;

use super::Encryption;
use crate::journal::JournalUrl;
use crate::service::Region;

pub(super) const PUBLIC_URL: &str = "https://{region}.turbopuffer.com";
const ZILLIZ_URL: &str = "https://api.cloud.zilliz.com";
pub(super) const DEFAULT_PREFIX: &str = "backup-";
pub(super) const DEFAULT_CONCURRENCY: u32 = 32;
pub(super) const CONCURRENCY: RangeInclusive<u32> = 1..=1_000;
pub(super) const DEFAULT_COPIES: u32 = 64;
pub(super) const COPIES: RangeInclusive<u32> = 1..=10_000;
/// A hundred years; zero is no such rule.
pub(super) const DAYS: RangeInclusive<u32> = 0..=36_500;
pub(super) const MIN: RangeInclusive<u32> = 1..=10_000;

/// How turbopuffer's keys begin.
const KEY: &str = "tpuf_";

/// Unknown regions are the service's to refuse; this only keeps what can't be one out of addresses.
pub(super) fn region(text: &str) -> Result<Region, String> {
    let plain = text
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if plain {
        return Ok(text.to_owned());
    }
    Err(format!(
        "`{text}` is no region; use lower-case letters, digits and `-`, such as `aws-us-east-1`"
    ))
}

/// The address of a region, its name filled in where the URL has `{region}`.
pub(super) fn address(url: &str, region: &str) -> Result<String, String> {
    let filled = url.replace("{region}", region);
    let usable =
        reqwest::Url::parse(&filled).is_ok_and(|url| matches!(url.scheme(), "https" | "http"));
    if usable {
        return Ok(filled);
    }
    Err(format!("`{url}` is no URL; use one such as `{PUBLIC_URL}`"))
}

/// Where Zilliz Cloud's control plane is reached. Its paths begin with `/v2`, which is not part of the address.
pub(super) fn zilliz_address(url: &str) -> Result<String, String> {
    let usable = reqwest::Url::parse(url)
        .is_ok_and(|url| matches!(url.scheme(), "https" | "http") && url.query().is_none());
    let bare = url.trim_end_matches('/');
    if usable && !bare.ends_with("/v2") {
        return Ok(bare.to_owned());
    }
    Err(format!(
        "`{url}` is no address of Zilliz Cloud; use one such as `{ZILLIZ_URL}`, without `/v2`"
    ))
}

/// The control plane's public address (contract section 1): one for the world, and one for China's clouds.
pub(super) fn zilliz_public_url(region: &str) -> &'static str {
    match region.split('-').next() {
        Some("ali" | "tc") => "https://api.cloud.zilliz.com.cn",
        _ => ZILLIZ_URL,
    }
}

/// Where runs are remembered.
pub(super) fn journal(text: &str) -> Result<JournalUrl, String> {
    text.parse()
        .map_err(|error: crate::journal::JournalUrlError| error.to_string())
}

/// What copies are encrypted with: `default`, or the ARN or resource name of a key.
pub(super) fn encryption(text: &str) -> Encryption {
    match text {
        "default" => Encryption::Default,
        key => Encryption::CustomerManaged(key.to_owned()),
    }
}

/// A key that was given itself.
pub(super) fn key(text: &str) -> Result<SecretString, String> {
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(SecretString::from(text));
    }
    Err("has spaces or control characters in it; copy the key again".into())
}

/// Whether a text looks like a key rather than like the name of where one is.
pub(super) fn looks_like_a_key(text: &str) -> bool {
    text.starts_with(KEY)
}

/// A text with everything that looks like a key cut short: a value in the wrong place is shown, and may be one.
pub(super) fn without_keys(text: String) -> String {
    if !text.contains(KEY) {
        return text;
    }
    let mut parts = text.split(KEY);
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|next: char| {
            next.is_ascii_alphanumeric() || matches!(next, '_' | '-')
        });
        shown.push_str(KEY);
        if rest.len() < part.len() {
            shown.push('…');
        }
        shown.push_str(rest);
    }
    shown
}

/// The known word that a misspelt one is nearest to.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distance = |known: &&str| {
        strsim::damerau_levenshtein(&known.to_ascii_lowercase(), &word.to_ascii_lowercase())
    };
    known.into_iter().min_by_key(distance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_looks_like_a_key_is_cut_short() {
        for (text, shown) in [
            ("`tpuf_abc-DEF_1` is no region", "`tpuf_…` is no region"),
            ("tpuf_a tpuf_b", "tpuf_… tpuf_…"),
            ("xtpuf_tpuf_abc.", "xtpuf_tpuf_…."),
            ("no key, naïve", "no key, naïve"),
            ("tpuf_", "tpuf_"),
        ] {
            assert_eq!(without_keys(text.to_owned()), shown);
        }
    }
}
