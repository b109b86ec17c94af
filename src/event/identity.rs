//! By what a request is told from every other: whoever carries on with it, or hears it again, finds it by that.

use serde::Serialize;
use sha2::{Digest, Sha256};

/// The first 64 bits of a request's SHA-256, in hexadecimal digits.
pub(crate) fn identity_of(request: &impl Serialize) -> String {
    // Plain values with text keys can always be written, so the fallback is never taken.
    let text = serde_json::to_vec(request).unwrap_or_default();
    let digest = Sha256::digest(text);
    let first = digest.first_chunk().copied().map_or(0, u64::from_be_bytes);
    format!("{first:016x}")
}
