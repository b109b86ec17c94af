//! The HTTP plane by hand: bytes in, bytes out.

use lifeboat_emulator::{Emulator, Settings, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Serves a fresh emulator for as long as `f` runs.
pub(crate) async fn served<F: Future>(f: impl FnOnce(Emulator, String) -> F) -> F::Output {
    let emulator = Emulator::new(Settings::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let run = f(emulator.clone(), address);
    tokio::select! {
        served = serve(emulator, listener, std::future::pending()) => panic!("stopped: {served:?}"),
        out = run => out,
    }
}

async fn send(address: &str, method: &str, path: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer k\r\nx-request-id: tpreq_1\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await; // a reset may end it
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn answers_carry_dates_types_and_request_ids() {
    served(|_, address| async move {
        let answer = send(&address, "GET", "/r/v1/namespaces", "").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        for part in [
            "content-type: application/json",
            "date: ",
            "x-request-id: tpreq_1",
            "content-length: 36",
        ] {
            assert!(answer.contains(part), "{part} in {answer}");
        }
        assert!(
            answer.ends_with(r#"{"namespaces":[],"next_cursor":null}"#),
            "{answer}"
        );
        assert!(
            send(&address, "GET", "/nowhere", "")
                .await
                .starts_with("HTTP/1.1 404")
        );
        assert!(
            send(&address, "HEAD", "/r/v1/namespaces/x", "")
                .await
                .ends_with("\r\n\r\n")
        );
        assert!(
            send(&address, "POST", "/r/v2/namespaces/x", "{")
                .await
                .starts_with("HTTP/1.1 400")
        );
    })
    .await;
}

#[tokio::test]
async fn faults_break_the_connection() {
    served(|_, address| async move {
        let rules = r#"[{"match": {"operation": "list"}, "fault": {"reset": "before"}, "times": 1},
            {"match": {"operation": "list"}, "fault": {"truncate": true}, "times": 1}]"#;
        send(&address, "POST", "/_emulator/faults", rules).await;
        assert_eq!(send(&address, "GET", "/r/v1/namespaces", "").await, "");
        let half = send(&address, "GET", "/r/v1/namespaces", "").await;
        assert!(half.contains("content-length: 36"), "{half}");
        assert!(half.ends_with("\r\n\r\n{\"namespaces\":[],\""), "{half}");
        let whole = send(&address, "GET", "/r/v1/namespaces", "").await;
        assert!(whole.ends_with("null}"), "{whole}");
    })
    .await;
}
