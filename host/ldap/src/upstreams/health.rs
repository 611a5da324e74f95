//! Whether a server is there: it is asked for the root DSE (RFC 4512, section 5.1), as anybody may.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::server::Server;
use crate::encode::OwnRequest;
use crate::frame::{DEFAULT_LIMIT, FrameError, op, result_code};
use crate::pipe::{Pipe, Turn};
use crate::upstream::UpstreamError;

/// How soon a server that was lost is asked again.
const SOON: Duration = Duration::from_secs(1);
/// Result codes by which a server says that it cannot do its work: busy, unavailable (RFC 4511, appendix A.2).
const USELESS: [u32; 2] = [51, 52];

/// Asks the server again and again, over one connection as long as that holds. Never ends.
pub(super) async fn follow(server: &Arc<Server>, interval: Option<Duration>) {
    let Some(interval) = interval else { return pending().await };
    let mut link = None;
    loop {
        let mut found = check(server, &mut link).await;
        if found.is_err() {
            // The connection may have been closed for its age; that says nothing yet.
            link = None;
            found = check(server, &mut link).await;
        }
        if found.is_err() {
            link = None;
        }
        server.note(found.as_ref().map(drop));
        let pause = if found.is_ok() { interval } else { interval.min(SOON) };
        tokio::select! {
            () = sleep(pause) => {}
            () = server.lost.notified() => sleep(interval.min(SOON)).await,
        }
    }
}

async fn check(server: &Arc<Server>, link: &mut Option<(Pipe, i32)>) -> Result<(), UpstreamError> {
    let upstream = server.upstream();
    let asking = async {
        let (pipe, last) = match link {
            Some(link) => link,
            None => link.insert((Pipe::new(upstream.connect(DEFAULT_LIMIT, None).await?, DEFAULT_LIMIT), 0)),
        };
        *last = if *last == i32::MAX { 1 } else { *last + 1 };
        pipe.send(OwnRequest::root_dse(*last).into_bytes());
        let protocol = |source| UpstreamError::Protocol { address: upstream.address(), source };
        loop {
            while let Some(frame) = pipe.input.next_frame().map_err(protocol)? {
                if frame.id() == 0 {
                    return Err(UpstreamError::Useless { address: upstream.address(), code: 52 });
                }
                if frame.id() != *last || frame.op() != op::SEARCH_DONE {
                    continue;
                }
                // Whether it lets anybody read its root DSE is its own affair: it has answered.
                return match result_code(frame.bytes()).map_err(protocol)? {
                    code if USELESS.contains(&code) => {
                        Err(UpstreamError::Useless { address: upstream.address(), code })
                    }
                    _ => Ok(()),
                };
            }
            if pipe.turn(true).await.map_err(|error| upstream.io(error))? == Turn::Ended {
                return Err(protocol(FrameError::Malformed));
            }
        }
    };
    timeout(upstream.connect_timeout, asking).await.unwrap_or_else(|_| Err(upstream.late()))
}
