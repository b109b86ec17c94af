//! Lifeboat against a Python loop in the way of the vendor's documentation page, on the same service.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::service::{Service, Setup};
use crate::{Figure, product, size};

const NAMESPACES: u64 = 300;
const NAME: &str = "namespaces per second ÷ a sequential Python loop's";
/// Times the work alone: starting Python and importing the client is not what is compared.
const LOOP: &str = "import sys, time; sys.path.insert(0, sys.argv[1]); import vendor_backup; \
    begun = time.perf_counter(); vendor_backup.main(); print(time.perf_counter() - begun)";

pub(crate) fn figures() -> Vec<Figure> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
    if !folder.join("vendor_backup.py").is_file() {
        return vec![Figure::skipped(
            NAME,
            "tests/clients/vendor_backup.py is absent".into(),
        )];
    }
    let Some(python) = python() else {
        let why =
            "no Python with the official client: `make test` installs one, or set LIFEBOAT_PYTHON";
        return vec![Figure::skipped(NAME, why.into())];
    };
    let setup = Setup {
        sources: NAMESPACES,
        latency: Duration::from_millis(40),
        copy: Duration::from_millis(5),
        lost: false,
    };
    let theirs = rate(sequential(&python, &folder, &Service::start(setup)));
    let ours = rate(product::run(&Service::start(setup)).seconds);
    vec![Figure::new(
        NAME,
        format!("{ours:.1}/s: copied, compared and sealed, {NAMESPACES} at 40 ms"),
        format!("{theirs:.1}/s: copied only, one after the other"),
        ours / theirs,
    )]
}

#[expect(clippy::cast_precision_loss, reason = "a small constant")]
fn rate(seconds: f64) -> f64 {
    NAMESPACES as f64 / seconds
}

/// Seconds that the loop takes.
fn sequential(python: &Path, folder: &Path, service: &Service) -> f64 {
    let output = Command::new(python)
        .args(["-c", LOOP])
        .arg(folder)
        .envs(product::environment(&service.base_url))
        .env("RETENTION_DAYS", "7")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert!(service.total() >= NAMESPACES, "every namespace was copied");
    String::from_utf8_lossy(&output.stdout)
        .trim()
        .parse()
        .unwrap()
}

/// The first Python that has the official client.
fn python() -> Option<PathBuf> {
    let named = std::env::var_os("LIFEBOAT_PYTHON").map(PathBuf::from);
    let installed = size::targets().map(|target| target.join("test-env/bin/python"));
    named.into_iter().chain(installed).find(|python| {
        let import = Command::new(python)
            .args(["-c", "import turbopuffer"])
            .output();
        import.is_ok_and(|output| output.status.success())
    })
}
