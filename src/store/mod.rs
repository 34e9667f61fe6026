//! The filter's side of the count store: what it is asked and how its answer is read.
//!
//! Nothing here knows how a callout is sent; nothing outside knows what a
//! store's answer looks like.

mod answer;
mod callout;
mod date;
mod outcome;

pub use callout::{Callout, Store};
pub use outcome::{CalloutOutcome, MAX_BODY, NotSent, reads_headers};

/// A header value as text, if it is printable ASCII. The host checks no value
/// it sends: CR and LF would split a message (proxy-wasm facts 0.6).
fn printable(value: &[u8]) -> Option<&str> {
    let (eights, rest) = value.as_chunks();
    let printable = eights.iter().all(|&eight| all_printable(u64::from_le_bytes(eight)))
        && rest.iter().all(|byte| matches!(byte, 0x20..=0x7E));
    printable.then(|| str::from_utf8(value).ok()).flatten()
}

/// The same of eight bytes at once. Of a byte below 0x20 the difference has its highest bit set, of 0x7F
/// the sum, of all others that are not ASCII the byte; what one carries into the next changes no answer
/// that was yes.
fn all_printable(eight: u64) -> bool {
    const EACH: u64 = u64::from_ne_bytes([1; 8]);
    let below = eight.wrapping_sub(EACH << 5);
    let above = eight.wrapping_add(EACH);
    (below | above | eight) & (EACH << 7) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_judged_at_every_place() {
        for byte in 0..=u8::MAX {
            for length in 1..20 {
                for at in 0..length {
                    let mut value = vec![b'~'; length];
                    value[at] = byte;
                    let expected = (0x20..=0x7E).contains(&byte);
                    assert_eq!(
                        printable(&value).is_some(),
                        expected,
                        "{byte:#x} at {at} of {length}"
                    );
                    value.fill(byte);
                    assert_eq!(printable(&value).is_some(), expected, "{length} times {byte:#x}");
                }
            }
        }
    }
}
