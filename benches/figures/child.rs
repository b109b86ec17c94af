//! This program again, in other roles: the service, the product, and the bare loop. Each says what it has to say in
//! one line of JSON on stderr, because stdout is where the product logs.

use std::io::{self, BufRead, BufReader};
use std::process::{Child, ChildStderr, Command, Stdio};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{bare, product, service};

/// A running child, ended with this handle.
pub(crate) struct Running {
    process: Child,
    said: BufReader<ChildStderr>,
}

impl Running {
    /// Starts this program in `role`.
    pub(crate) fn start(role: &str, setup: &impl Serialize) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["child", role, &serde_json::to_string(setup).unwrap()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(process.stderr.take().unwrap());
        Self { process, said }
    }

    /// Waits for the child's line.
    pub(crate) fn line<T: DeserializeOwned>(&mut self) -> T {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|_| {
            let mut rest = String::new();
            let _ = io::Read::read_to_string(&mut self.said, &mut rest);
            panic!("the child said: {line}{rest}")
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Starts a child and waits for its result.
pub(crate) fn result<T: DeserializeOwned>(role: &str, setup: &impl Serialize) -> T {
    Running::start(role, setup).line()
}

/// The child's side.
pub(crate) fn play(role: &str, setup: &str) {
    match role {
        "service" => service::play(&serde_json::from_str(setup).unwrap()),
        "wide" => service::play_wide(serde_json::from_str(setup).unwrap()),
        "reader" => say(&bare::read(&serde_json::from_str(setup).unwrap())),
        "product" => say(&product::play(&serde_json::from_str(setup).unwrap())),
        "bare" => say(&bare::play(&serde_json::from_str(setup).unwrap())),
        other => panic!("no role is called `{other}`"),
    }
}

/// Says the child's line.
pub(crate) fn say(what: &impl Serialize) {
    eprintln!("{}", serde_json::to_string(what).unwrap());
}

/// A runtime on one thread, as the Lambda function has.
pub(crate) fn one_thread() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}
