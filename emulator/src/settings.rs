//! What can be chosen about an emulator, and the defaults.
//!
//! Where turbopuffer's behaviour is not documented, the choice is a setting here rather than a guess in the code.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::ClockMode;
use crate::zilliz::ZillizSettings;

/// When the emulator takes up a client's `prefer: respond-async`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum AsyncHint {
    /// Every copy is answered when it is done.
    #[default]
    Never,
    /// Every copy is answered with 202 and a token.
    Always,
    /// Copies of more rows than this are answered with 202 and a token.
    AboveRows(u64),
}

/// Which state of the source a copy holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum CopySnapshot {
    /// That of the moment the copy was asked for.
    #[default]
    AtStart,
    /// That of the moment it finishes.
    AtFinish,
}

/// Where a refused asynchronous copy says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum AsyncErrors {
    /// In the answer to the request that starts it.
    #[default]
    AtOnce,
    /// In the operation's result.
    InResult,
}

/// Everything that can be chosen. `POST /_emulator/settings` changes all but `seed` and `clock`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Decides every token, probability and victim.
    pub seed: u64,
    /// How time passes.
    pub clock: ClockMode,
    /// When hinted asynchronous copies are taken up.
    pub async_hint: AsyncHint,
    /// Where a refused `/async` copy says so.
    pub async_errors: AsyncErrors,
    /// Which state of the source a copy holds.
    pub copy_snapshot: CopySnapshot,
    /// Whether the destination of a running copy, with half of its rows, can be seen; a failed copy then stays so.
    pub half_copies_visible: bool,
    /// Whether the answer to a synchronous copy or branch comes after the time it takes.
    pub sync_copy_waits: bool,
    /// Speed of a copy inside one region.
    pub same_region_bytes_per_second: u64,
    /// Speed of a copy between regions.
    pub cross_region_bytes_per_second: u64,
    /// Time every copy takes on top.
    pub copy_overhead_ms: u64,
    /// Time a branch takes.
    pub branch_ms: u64,
    /// The region of paths without one (`/v1/…`).
    pub default_region: String,
    /// Regions that do not exist: requests to them meet a closed connection, copies from them a 400.
    pub unknown_regions: Vec<String>,
    /// The regions named in that 400.
    pub available_regions: Vec<String>,
    /// How long after a write the index is reported as `updating`.
    pub index_lag_ms: u64,
    /// How far the `approx_*` figures stay behind, in percent.
    pub approximations_short_by_percent: u64,
    /// Seconds by which the `Date` header differs from the clock.
    pub clock_skew_seconds: i64,
    /// Of the Zilliz part.
    pub zilliz: ZillizSettings,
}

/// The regions of docs/regions, autumn 2026.
const REGIONS: [&str; 19] = [
    "aws-us-east-1",
    "aws-us-east-2",
    "aws-us-west-2",
    "aws-ca-central-1",
    "aws-sa-east-1",
    "aws-eu-west-1",
    "aws-eu-west-2",
    "aws-eu-central-1",
    "aws-ap-south-1",
    "aws-ap-southeast-2",
    "gcp-us-central1",
    "gcp-us-east1",
    "gcp-us-east4",
    "gcp-us-west1",
    "gcp-northamerica-northeast2",
    "gcp-europe-west1",
    "gcp-europe-west3",
    "gcp-asia-southeast1",
    "gcp-asia-northeast3",
];

impl Default for Settings {
    fn default() -> Self {
        Self {
            seed: 0,
            clock: ClockMode::System,
            async_hint: AsyncHint::Never,
            async_errors: AsyncErrors::AtOnce,
            copy_snapshot: CopySnapshot::AtStart,
            half_copies_visible: false,
            sync_copy_waits: true,
            same_region_bytes_per_second: 72_000_000,
            cross_region_bytes_per_second: 50_000_000,
            copy_overhead_ms: 200,
            branch_ms: 440, // the published median
            default_region: "aws-us-east-1".to_owned(),
            unknown_regions: Vec::new(),
            available_regions: REGIONS.map(str::to_owned).to_vec(),
            index_lag_ms: 0,
            approximations_short_by_percent: 0,
            clock_skew_seconds: 0,
            zilliz: ZillizSettings::default(),
        }
    }
}

impl Settings {
    /// These settings with the fields of `patch` replaced.
    pub(crate) fn patched(&self, patch: &Value) -> Result<Self, String> {
        if !patch.is_object() {
            return Err("settings are an object".to_owned());
        }
        let mut whole = serde_json::to_value(self).map_err(|error| error.to_string())?;
        merge(&mut whole, patch);
        let mut patched: Self = serde_json::from_value(whole).map_err(|error| error.to_string())?;
        // The seed is used up and the clock is set elsewhere.
        patched.seed = self.seed;
        patched.clock = self.clock;
        Ok(patched)
    }

    pub(crate) fn is_unknown(&self, region: &str) -> bool {
        self.unknown_regions.iter().any(|unknown| unknown == region)
    }
}

/// Replaces what `patch` names, inside objects too.
fn merge(whole: &mut Value, patch: &Value) {
    let (Value::Object(fields), Value::Object(patch)) = (&mut *whole, patch) else {
        whole.clone_from(patch);
        return;
    };
    for (name, value) in patch {
        merge(fields.entry(name).or_insert(Value::Null), value);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_patch_changes_only_what_it_names() {
        let patched = Settings::default()
            .patched(&json!({"async_hint": {"above_rows": 5}, "half_copies_visible": true}))
            .unwrap();
        assert_eq!(patched.async_hint, AsyncHint::AboveRows(5));
        assert!(patched.half_copies_visible && patched.sync_copy_waits);
        assert!(Settings::default().patched(&json!({"speed": 1})).is_err());
    }

    #[test]
    fn a_patch_reaches_into_the_zilliz_part() {
        let patched = Settings::default()
            .patched(&json!({"zilliz": {"queue_ms": 7}}))
            .and_then(|once| once.patched(&json!({"zilliz": {"overhead_ms": 8}})))
            .unwrap();
        assert_eq!(
            (patched.zilliz.queue_ms, patched.zilliz.overhead_ms),
            (7, 8)
        );
        let misspelt = json!({"zilliz": {"queue": 7}});
        assert!(Settings::default().patched(&misspelt).is_err());
    }
}
