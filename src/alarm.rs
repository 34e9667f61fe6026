//! How often a line is written to Envoy's error log: once a minute.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const INTERVAL: Duration = Duration::from_secs(60);

/// Whether the line is to be written again. `last` is the [`stamp`] of the last time.
pub fn is_due(last: Option<&[u8]>, now: SystemTime) -> bool {
    let last = last.and_then(|stamp| stamp.try_into().ok()).map(u64::from_le_bytes);
    let passed = last.and_then(|last| {
        now.duration_since(UNIX_EPOCH.checked_add(Duration::from_secs(last))?).ok()
    });
    // If the clock was set back, the last time is unknown.
    passed.is_none_or(|passed| passed >= INTERVAL)
}

/// A time in the form that workers share it in.
pub fn stamp(now: SystemTime) -> [u8; 8] {
    now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs().to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_a_minute() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        assert!(is_due(None, at(0)));
        let last = stamp(at(1_000));
        let due = [1_000, 1_059, 1_060, 999].map(|seconds| is_due(Some(&last), at(seconds)));
        assert_eq!(due, [false, false, true, true]);
        assert!(is_due(Some(b"odd"), at(0)));
    }
}
