//! Carrying calls over HTTP/1.1: reading requests, sleeping delays, and breaking connections where a fault asks for it.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{CONTENT_LENGTH, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::Emulator;
use crate::call::{Call, Delivery, Method, Response};

/// Serves the emulator until `shutdown` resolves. Open connections are then dropped.
pub async fn serve(
    emulator: Emulator,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => return Ok(()),
            accepted = listener.accept() => {
                // Errors of accept are those of one connection, or pass (too many open files).
                if let Ok((stream, _)) = accepted {
                    connections.spawn(connection(emulator.clone(), stream));
                }
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

async fn connection(emulator: Emulator, stream: TcpStream) {
    // Small answers must not wait for the client's acknowledgement of the one before.
    let _ = stream.set_nodelay(true);
    let emulator = Arc::new(emulator);
    let service = service_fn(move |request| {
        let emulator = Arc::clone(&emulator);
        async move { answer(&emulator, request).await }
    });
    // An error is a connection that broke, as a client's or a fault's wish.
    let _ = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .auto_date_header(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// An error closes the connection without an answer.
async fn answer(
    emulator: &Emulator,
    request: hyper::Request<Incoming>,
) -> Result<hyper::Response<Payload>, io::Error> {
    let call = read(request).await?;
    let method = call.method;
    let answer = emulator.call(call);
    if !answer.delay.is_zero() {
        tokio::time::sleep(answer.delay).await;
    }
    match answer.delivery {
        Delivery::Whole(response) => Ok(write(response, false, method)),
        Delivery::Truncated(response) => Ok(write(response, true, method)),
        Delivery::Reset => Err(io::ErrorKind::ConnectionReset.into()),
    }
}

async fn read(request: hyper::Request<Incoming>) -> Result<Call, io::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    Ok(Call {
        method: Method::from_name(head.method.as_str()),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head
            .headers
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), text(value)))
            .collect(),
        body: body.into(),
    })
}

fn write(response: Response, truncated: bool, method: Method) -> hyper::Response<Payload> {
    let Response {
        status,
        headers,
        body,
    } = response;
    let length = body.len();
    let mut body = Bytes::from(body);
    if truncated {
        body.truncate(length / 2);
    }
    if method == Method::Head {
        body.clear();
    }
    let mut out = hyper::Response::new(Payload {
        rest: Some(body),
        truncated,
        flushed: false,
    });
    *out.status_mut() =
        hyper::StatusCode::from_u16(status).unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    let map = out.headers_mut();
    map.insert(CONTENT_LENGTH, HeaderValue::from(length));
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(&value)) {
            map.insert(name, value);
        }
    }
    out
}

/// A body that may break off. The length is only in the header, so that the two can differ.
struct Payload {
    rest: Option<Bytes>,
    truncated: bool,
    /// Hyper has had a turn to send what it was given.
    flushed: bool,
}

impl Body for Payload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(bytes) = self.rest.take()
            && !bytes.is_empty()
        {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        if !self.truncated {
            return Poll::Ready(None);
        }
        if !self.flushed {
            self.flushed = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into())))
    }

    fn is_end_stream(&self) -> bool {
        !self.truncated && self.rest.as_ref().is_none_or(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.rest {
            Some(bytes) if !self.truncated => {
                SizeHint::with_exact(u64::try_from(bytes.len()).unwrap_or(u64::MAX))
            }
            _ => SizeHint::default(),
        }
    }
}
