//! The binary: reads the arguments, says where it listens, serves until told to stop.

use std::io::Write;

use clap::Parser;
use jiff::Timestamp;
use lifeboat_emulator::{ClockMode, Emulator, Settings, serve};
use serde_json::json;
use tokio::net::TcpListener;

/// An emulator of turbopuffer, every region under `/{region}/`, and of Zilliz Cloud under `/zilliz/`; its own control
/// plane is under `/_emulator/`.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:7070")]
    listen: String,
    /// Decides tokens, probabilities and victims.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Start a clock that stands still until told, at this time, instead of following the system's.
    #[arg(long, value_name = "TIME")]
    clock: Option<Timestamp>,
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let arguments = Arguments::parse();
    let emulator = Emulator::new(Settings {
        seed: arguments.seed,
        clock: arguments.clock.map_or(ClockMode::System, ClockMode::Manual),
        ..Settings::default()
    });
    let listener = TcpListener::bind(&arguments.listen).await?;
    let line = json!({"listening": format!("http://{}", listener.local_addr()?)});
    writeln!(std::io::stdout(), "{line}")?;
    serve(emulator, listener, stop()).await
}

/// Resolves at an interrupt, or at the signal that containers are stopped with.
async fn stop() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}
