//! Clients that want too much, and the end of the server.

use std::time::Duration;

use portcullis_core::Timestamp;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::stage::{PATIENCE, Stage, Stream, header};
use crate::support::{ANY_PORT, BEGIN, sample};

#[tokio::test]
async fn streams_are_bounded_per_address_and_seats_come_back() {
    let stage = Stage::new().await;
    stage.world.desk.put(sample::challenge(1, [127, 0, 0, 1].into(), Timestamp(BEGIN)));
    let browser = stage.browser();
    let by_link = format!("/challenge/{}/events", sample::link(1).reveal());
    let mut streams = Vec::new();
    for number in 0..16 {
        let path = if number % 2 == 0 { "/challenge/events" } else { by_link.as_str() };
        streams.push(Stream::open(&browser, path).await);
    }
    for path in ["/challenge/events", by_link.as_str()] {
        let answer = browser.get(path).await;
        assert_eq!((answer.status().as_u16(), header(&answer, "retry-after")), (503, "5".to_owned()));
    }
    // Others have their own seats, and so has the console.
    Stream::open(&stage.browser_at([127, 0, 0, 2].into()), "/challenge/events").await;
    Stream::open(&stage.signed_in().await, "/activity/events").await;
    drop(streams);
    let begun = Instant::now();
    while browser.get("/challenge/events").await.status() != 200 {
        assert!(begun.elapsed() < PATIENCE, "seats of clients that went away come back");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn connections_are_bounded_per_address() {
    let stage = Stage::new().await;
    // The server is up when it has answered.
    stage.browser().text("/healthz").await;
    let address = stage.base.strip_prefix("http://").unwrap();
    let mut held = Vec::new();
    let mut refused = 0;
    for _ in 0..80 {
        let mut connection = TcpStream::connect(address).await.unwrap();
        // A refused connection is closed at once; one that is let in waits for a request.
        let mut byte = [0];
        match timeout(Duration::from_millis(30), connection.read(&mut byte)).await {
            Ok(Ok(0) | Err(_)) => refused += 1,
            Ok(Ok(_)) => panic!("nothing was asked for"),
            Err(_) => held.push(connection),
        }
    }
    assert!(refused >= 15 && held.len() <= 64, "{refused} refused, {} held", held.len());
}

#[tokio::test]
async fn a_request_that_is_never_finished_is_cut_off() {
    let stage = Stage::new().await;
    let address = stage.base.strip_prefix("http://").unwrap();
    let mut silent = TcpStream::connect(address).await.unwrap();
    let mut slow = TcpStream::connect(address).await.unwrap();
    slow.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ").await.unwrap();
    let begun = Instant::now();
    for connection in [&mut silent, &mut slow] {
        let mut answer = Vec::new();
        let ended = timeout(Duration::from_secs(14), connection.read_to_end(&mut answer)).await;
        assert!(ended.is_ok(), "still open after {:?}", begun.elapsed());
        assert!(!answer.starts_with(b"HTTP/1.1 200"));
    }
    assert!(begun.elapsed() > Duration::from_secs(5), "nobody honest is that slow");
}

#[tokio::test]
async fn a_body_that_is_never_finished_is_answered_in_the_end() {
    let stage = Stage::new().await;
    let mut slow = TcpStream::connect(stage.base.strip_prefix("http://").unwrap()).await.unwrap();
    let head = "POST /sign-in HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\
                Content-Type: application/x-www-form-urlencoded\r\n\r\nlogin=";
    slow.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    timeout(Duration::from_secs(20), slow.read_exact(&mut answer)).await.expect("an answer").unwrap();
    assert_eq!(&answer, b"HTTP/1.1 503");
}

#[tokio::test]
async fn the_end_of_the_server_ends_streams_at_once() {
    let stage = Stage::new().await;
    stage.world.desk.put(sample::challenge(1, [127, 0, 0, 1].into(), Timestamp(BEGIN)));
    let signed_in = stage.signed_in().await;
    let by_link = format!("/challenge/{}/events", sample::link(1).reveal());
    let mut streams = Vec::new();
    for path in ["/activity/events", "/challenge/events", by_link.as_str()] {
        let mut stream = Stream::open(&signed_in, path).await;
        assert!(stream.next().await.is_some());
        streams.push(stream);
    }
    let begun = Instant::now();
    stage.shutdown.cancel();
    for mut stream in streams {
        assert_eq!(stream.next().await, None);
    }
    timeout(PATIENCE, stage.task).await.expect("the server ends").unwrap().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_client_that_holds_on_does_not_keep_the_server_from_ending() {
    let stage = Stage::new().await;
    let mut slow = TcpStream::connect(stage.base.strip_prefix("http://").unwrap()).await.unwrap();
    slow.write_all(b"POST /sign-in HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nlogin=").await.unwrap();
    stage.browser().text("/healthz").await;
    stage.shutdown.cancel();
    timeout(Duration::from_secs(8), stage.task).await.expect("the server ends").unwrap().unwrap();
}

#[tokio::test]
async fn metrics_are_on_a_socket_of_their_own_and_nothing_else_is() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let listener = tokio::net::TcpListener::bind(ANY_PORT).await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let shutdown = tokio_util::sync::CancellationToken::new();
    let working = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let works = std::sync::Arc::clone(&working);
    let page: portcullis_web::MetricsPage = std::sync::Arc::new(move || {
        if works.load(std::sync::atomic::Ordering::Relaxed) { Ok("# EOF\n".to_owned()) } else { Err(std::fmt::Error) }
    });
    let serving = tokio::spawn(portcullis_web::serve_metrics(listener, page, shutdown.clone()));
    let get = async |path: &str| reqwest::get(format!("{base}{path}")).await.unwrap();
    let answer = get("/metrics").await;
    assert_eq!(header(&answer, "content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert_eq!(answer.text().await.unwrap(), "# EOF\n");
    for path in ["/", "/activity", "/healthz"] {
        assert_eq!(get(path).await.status(), 404);
    }
    working.store(false, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(get("/metrics").await.status(), 500, "half a page is none");
    shutdown.cancel();
    timeout(PATIENCE, serving).await.unwrap().unwrap().unwrap();
}

/// The lists of policies may be large, for those who may save them.
#[tokio::test]
async fn whoever_is_not_signed_in_is_told_so_before_the_body_is_read() {
    let stage = Stage::new().await;
    let address = stage.base.strip_prefix("http://").unwrap();
    for (path, told) in [("/policy/save", b"HTTP/1.1 403"), ("/api/v1/policies/draft/save", b"HTTP/1.1 401")] {
        let mut connection = TcpStream::connect(address).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {address}\r\nsec-fetch-site: same-origin\r\n\
             content-type: application/x-www-form-urlencoded\r\ncontent-length: 500000\r\n\r\ncsrf="
        );
        connection.write_all(head.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        timeout(PATIENCE, connection.read_exact(&mut answer)).await.expect("without the rest").unwrap();
        assert_eq!(&answer, told, "{path}");
    }
}
