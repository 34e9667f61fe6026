//! The limits of the service: connections, sizes and times.

use std::time::Duration;

/// For a request's headers, from the connection's beginning or the answer before them: how long a
/// connection may be idle too.
pub const HEADERS: Duration = Duration::from_secs(10);

/// For a client to take more of what it is sent.
pub const WRITE: Duration = Duration::from_secs(10);

/// Connections at once, if the process may open as many files. Each takes 64 KiB at most.
pub const MOST: usize = 4_000;

/// The same of those for metrics: Prometheus needs one.
pub const MOST_FOR_METRICS: usize = 16;

/// The most bytes of headers that are kept; Envoy sends 60 KiB at most, if not told otherwise.
pub const HEADER_BYTES: usize = 65_536;

/// Connections beyond all others, so that `/healthz` and a few counts are answered still.
pub const SPARE: usize = 32;

/// As [`HEADERS`], on a spare connection.
pub const SPARE_HEADERS: Duration = Duration::from_millis(500);

/// Connections that have waited this long for headers are closed when all are taken.
pub const IDLE: Duration = Duration::from_millis(500);

/// How often they are told to.
pub const PRESS: Duration = Duration::from_millis(100);

/// How long a new connection waits for the room they make.
pub const ROOM: Duration = Duration::from_millis(5);

/// Standard streams, the listeners, the runtime's own, and some to be safe.
pub const OTHER_FILES: usize = 24;

/// For headers that were on their way when the signal came.
pub const LAST_HEADERS: Duration = Duration::from_secs(1);

/// For all answers in flight when the signal came. Process managers that kill wait for
/// 10 s or more.
pub const GRACE: Duration = Duration::from_secs(7);

/// How often it is told that a count failed, and why.
pub const FAILURES: Duration = Duration::from_secs(1);

/// How often the same trouble is told.
pub const AGAIN: Duration = Duration::from_secs(60);

/// What a person should know of them.
pub fn text() -> String {
    format!(
        "A client has {} s to send a request's headers, may leave its connection idle as long, and has \
         {} s to take what it is sent. There are as many connections as the limit of open files \
         allows (`ulimit -n`), {MOST} at most. When all are taken, those that have been idle for {} s \
         are closed; if that is not enough, a client that connects has {} s to ask and gets one \
         answer. On SIGTERM or SIGINT, requests in flight are answered, for {} s at most.",
        HEADERS.as_secs(),
        WRITE.as_secs(),
        IDLE.as_secs_f64(),
        SPARE_HEADERS.as_secs_f64(),
        GRACE.as_secs()
    )
}
