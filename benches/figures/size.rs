//! Size of the function's program and of the zip that is deployed.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Figure;

const MIB: f64 = 1_048_576.0;
/// The largest zip that can be uploaded directly, in MiB.
const LARGEST_UPLOAD: f64 = 50.0;

pub(crate) fn figures() -> Vec<Figure> {
    let program = mib(Path::new(env!("CARGO_BIN_EXE_bootstrap"))).unwrap();
    ["x86_64", "arm64"]
        .iter()
        .map(|architecture| zip(architecture, program))
        .collect()
}

fn zip(architecture: &str, program: f64) -> Figure {
    let name = format!("zip for {architecture} ÷ the largest direct upload");
    let path = format!("package/{architecture}/bootstrap/bootstrap.zip");
    let Some(size) = targets().find_map(|target| mib(&target.join(&path))) else {
        return Figure::skipped(
            &name,
            format!("`make package ARCH={architecture}` makes it"),
        );
    };
    Figure::new(
        &name,
        format!("{size:.1} MiB (the program alone, unpacked, here: {program:.1} MiB)"),
        format!("{LARGEST_UPLOAD:.0} MiB"),
        size / LARGEST_UPLOAD,
    )
}

fn mib(path: &Path) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "sizes far below 2^52")]
    let bytes = fs::metadata(path).ok()?.len() as f64;
    Some(bytes / MIB)
}

/// Where `make` may have put things: this build's target folder, else the usual one.
pub(crate) fn targets() -> impl Iterator<Item = PathBuf> {
    let usual = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    // <target>/release/bootstrap
    let ours = Path::new(env!("CARGO_BIN_EXE_bootstrap"))
        .ancestors()
        .nth(2);
    ours.map(Path::to_owned).into_iter().chain([usual])
}
