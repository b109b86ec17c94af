//! Ctrl-C, and questions, at which it is a no: what ends at once, what is first left in order, and how to go on.
//!
//! Once tokio listens to Ctrl-C, nothing else ends by it any more. So whoever waits here for anything listens, too.

use std::future::poll_fn;
use std::io::{self, Write};
use std::pin::pin;
use std::process::{self, ExitCode};
use std::task::Poll;
use std::thread;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use lifeboat::event::{Action, Request};
use lifeboat::terminal::Progress;
use lifeboat::{Answer, Lifeboat};
use tokio::signal::ctrl_c;
use tokio::sync::oneshot;

use super::{BadInput, handle};

/// The exit status of what Ctrl-C ended, as shells have it.
const BY_CTRL_C: u8 = 130;

/// What somebody says to a question.
pub(super) enum Said {
    /// The word that agrees.
    Yes,
    /// Anything else.
    No,
    /// Ctrl-C.
    Nothing,
}

impl Said {
    /// How the process ends by it; `None` where it is agreed to.
    pub(super) fn ends(&self) -> Option<ExitCode> {
        match self {
            Self::Yes => None,
            Self::No => Some(ExitCode::FAILURE),
            Self::Nothing => Some(ExitCode::from(BY_CTRL_C)),
        }
    }
}

/// Listens to Ctrl-C from now on, and ends when it comes. To be called before a question is asked, which may be answered
/// by it at once.
pub(super) async fn listening() -> LocalBoxFuture<'static, ()> {
    let mut interrupted = ctrl_c().map(drop).fuse().boxed_local();
    // Only what was polled listens.
    poll_fn(|context| {
        let _ = interrupted.poll_unpin(context);
        Poll::Ready(())
    })
    .await;
    interrupted
}

/// Reads the answer to a question that was asked on stderr.
pub(super) async fn said(
    interrupted: LocalBoxFuture<'static, ()>,
    agrees: impl Fn(&str) -> bool,
) -> Result<Said, BadInput> {
    let (tell, told) = oneshot::channel();
    // Nobody can stop a read, and the runtime would wait for a thread of its own before the process ends.
    thread::spawn(move || {
        let mut said = String::new();
        let read = io::stdin().read_line(&mut said).map(|_| said);
        // Whoever was interrupted does not listen any more.
        let _ = tell.send(read);
    });
    tokio::select! {
        told = told => match told {
            Ok(Ok(said)) if agrees(said.trim()) => Ok(Said::Yes),
            Ok(Err(error)) => Err(BadInput(format!("no answer can be read: {error}"))),
            Ok(Ok(_)) | Err(_) => {
                tell_stderr("lifeboat: not agreed to; nothing was changed");
                Ok(Said::No)
            }
        },
        () = interrupted => {
            tell_stderr("\nlifeboat: interrupted; nothing was changed");
            Ok(Said::Nothing)
        }
    }
}

/// Carries a request out that may be dropped in the middle; `None` when Ctrl-C did, and how to go on is said.
pub(super) async fn handle_or_drop(
    lifeboat: &Lifeboat,
    request: &Request,
) -> Result<Option<Answer>, BadInput> {
    let progress = Progress::new();
    tokio::select! {
        answer = handle(lifeboat, request, &progress) => answer.map(Some),
        _ = ctrl_c() => {
            progress.finish();
            tell_stderr(&format!("lifeboat: interrupted; {}", how_to_go_on(request)));
            Ok(None)
        }
    }
}

/// Carries a request out that must be left in order; with Ctrl-C it is, and with a second one it ends at once. `goes_on` is
/// how to carry on with it.
pub(super) async fn handle_until_ctrl_c(
    lifeboat: &Lifeboat,
    request: &Request,
    goes_on: &str,
) -> Result<Answer, BadInput> {
    let progress = Progress::new();
    let mut answered = pin!(handle(lifeboat, request, &progress));
    tokio::select! {
        answer = &mut answered => return answer,
        _ = ctrl_c() => {}
    }
    progress.say("lifeboat: interrupted; it is being left so that it can be carried on with. Ctrl-C once more ends it at once");
    lifeboat.interrupt();
    tokio::select! {
        answer = &mut answered => answer,
        _ = ctrl_c() => {
            progress.finish();
            tell_stderr(&format!(
                "lifeboat: ended at once; copies that were started go on at the service. In three minutes, when the lease of this process has run out, {goes_on}"
            ));
            // What is still under way may take its time to be dropped.
            process::exit(BY_CTRL_C.into())
        }
    }
}

fn tell_stderr(line: &str) {
    // Nothing can be said when stderr is closed; the exit status still tells.
    let _ = writeln!(io::stderr(), "{line}");
}

/// What is true of a request that was dropped in the middle, and what to do about it.
fn how_to_go_on(request: &Request) -> &'static str {
    match request.action {
        _ if request.dry_run => "nothing was changed",
        Action::Backup | Action::Resume => {
            "copies that were started go on at the service. With LIFEBOAT_JOURNAL, or for clusters, `lifeboat resume` carries on, as soon as the lease of this process has run out (three minutes); without, the next backup begins anew"
        }
        Action::Prune | Action::Seal | Action::Discard => {
            "what is done is done, and the rest was not; the same command goes on"
        }
        Action::Verify => {
            "nothing was changed. With LIFEBOAT_JOURNAL, a backup that was just being compared row by row with its source or its like goes on about where it was when the same command is given again within a day; everything else begins anew"
        }
        _ => "nothing was changed",
    }
}
