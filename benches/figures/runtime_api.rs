//! Lambda's Runtime API for one function and one event, as much of it as a start takes, on a socket of its own.
//!
//! It notes when the function first asks for an event and when it answers the one it was given.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use lifeboat::clock::Clock;

const PATIENCE: Duration = Duration::from_secs(20);

/// How a start went.
#[derive(Clone, Copy)]
pub(crate) struct Start {
    /// From the process's birth to its first question for an event.
    pub(crate) ready: Duration,
    /// From the event to the answer.
    pub(crate) answered: Duration,
}

enum Seen {
    Asked(Instant),
    Answered(Instant),
    Failed(String),
}

/// Starts a program as Lambda would, gives it one event, and ends it after its answer.
pub(crate) fn start(program: &Path, environment: &[(String, String)], event: &str) -> Start {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let seen = serve(listener, event.to_owned());
    let begun = Instant::now();
    let mut process = Command::new(program)
        .env_clear()
        .envs(environment.iter().cloned())
        .env("AWS_LAMBDA_RUNTIME_API", address)
        .env("AWS_LAMBDA_FUNCTION_NAME", "figures")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
        .env("AWS_LAMBDA_LOG_GROUP_NAME", "figures")
        .env("AWS_LAMBDA_LOG_STREAM_NAME", "figures")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let asked = next(&seen);
    let answered = next(&seen);
    let _ = process.kill();
    let _ = process.wait();
    match (asked, answered) {
        (Seen::Asked(asked), Seen::Answered(answered)) => Start {
            ready: asked - begun,
            answered: answered - asked,
        },
        (Seen::Failed(why), _) | (_, Seen::Failed(why)) => {
            panic!("{} failed: {why}", program.display())
        }
        _ => panic!("{} answered before it asked", program.display()),
    }
}

fn next(seen: &Receiver<Seen>) -> Seen {
    seen.recv_timeout(PATIENCE)
        .unwrap_or_else(|_| Seen::Failed("it did nothing for a while".to_owned()))
}

/// A thread per connection; they end with the function.
fn serve(listener: TcpListener, event: String) -> Receiver<Seen> {
    let (tell, seen) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (tell, event) = (tell.clone(), event.clone());
            std::thread::spawn(move || converse(&stream, &tell, &event));
        }
    });
    seen
}

fn converse(mut stream: &TcpStream, tell: &Sender<Seen>, event: &str) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut reader = BufReader::new(stream);
    let mut given = false;
    loop {
        let (target, body) = read(&mut reader)?;
        let now = Instant::now();
        if target.ends_with("/invocation/next") {
            if given {
                continue; // there is no second event; the function waits until it is ended
            }
            given = true;
            tell.send(Seen::Asked(now)).ok()?;
            stream.write_all(offer(event).as_bytes()).ok()?;
        } else {
            let seen = if target.ends_with("/response") {
                Seen::Answered(now)
            } else {
                Seen::Failed(format!("{target} {}", String::from_utf8_lossy(&body)))
            };
            tell.send(seen).ok()?;
            let taken = "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(taken.as_bytes()).ok()?;
        }
    }
}

/// The answer that carries the event.
fn offer(event: &str) -> String {
    let deadline = Clock::system().now().as_millisecond() + 60_000;
    [
        "HTTP/1.1 200 OK",
        "content-type: application/json",
        "lambda-runtime-aws-request-id: 8476a536-e9f4-11e8-9739-2dfe598c3fcd",
        "lambda-runtime-invoked-function-arn: arn:aws:lambda:us-east-1:123456789012:function:figures",
        "lambda-runtime-trace-id: Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1",
        &format!("lambda-runtime-deadline-ms: {deadline}"),
        &format!("content-length: {}", event.len()),
        "",
        event,
    ]
    .join("\r\n")
}

/// One request's target and body; `None` when the connection has ended.
fn read(reader: &mut BufReader<&TcpStream>) -> Option<(String, Vec<u8>)> {
    let first = line(reader)?;
    let target = first.split(' ').nth(1)?.to_owned();
    let (mut length, mut chunked) = (0, false);
    loop {
        let header = line(reader)?.to_ascii_lowercase();
        match header
            .split_once(':')
            .map(|(name, value)| (name, value.trim()))
        {
            Some(("content-length", value)) => length = value.parse().ok()?,
            Some(("transfer-encoding", "chunked")) => chunked = true,
            Some(_) => {}
            None => break,
        }
    }
    if !chunked {
        return Some((target, take(reader, length)?));
    }
    let mut body = Vec::new();
    loop {
        let size = usize::from_str_radix(&line(reader)?, 16).ok()?;
        body.extend(take(reader, size)?);
        line(reader)?;
        if size == 0 {
            return Some((target, body));
        }
    }
}

fn line(reader: &mut BufReader<&TcpStream>) -> Option<String> {
    let mut line = String::new();
    let read = reader.read_line(&mut line).ok()?;
    (read > 0).then(|| line.trim_end().to_owned())
}

fn take(reader: &mut BufReader<&TcpStream>, length: usize) -> Option<Vec<u8>> {
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(body)
}
