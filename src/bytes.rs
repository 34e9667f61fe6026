//! Searches in bytes, eight at a time: most instructions of the module are spent on the bytes of a request.
//!
//! What is called in several places is not inlined, to keep the module small.

const HIGHEST: u64 = eight_of(0x80);

/// The position of the first of `wanted`.
#[inline(never)]
pub fn position<const N: usize>(bytes: &[u8], wanted: [u8; N]) -> Option<usize> {
    let eights = wanted.map(eight_of);
    first(
        bytes,
        |eight| eights.iter().fold(0, |marks, &all| marks | zero(eight ^ all)),
        |byte| wanted.contains(byte),
    )
}

/// Whether all is printable ASCII.
#[inline(never)]
pub fn are_printable(bytes: &[u8]) -> bool {
    let odd = first(
        bytes,
        |eight| below(eight, 0x20) | zero(eight ^ eight_of(0x7F)) | (eight & HIGHEST),
        |byte| !matches!(byte, 0x20..=0x7E),
    );
    odd.is_none()
}

/// Whether all is printable ASCII that needs no escape in a JSON string (RFC 8259 §7).
#[inline(never)]
pub fn are_plain(bytes: &[u8]) -> bool {
    are_printable(bytes) && position(bytes, [b'"', b'\\']).is_none()
}

/// Whether all is of base64's alphabet for URLs (RFC 4648 §5).
#[inline(never)]
pub fn are_url_safe(bytes: &[u8]) -> bool {
    let odd = first(
        bytes,
        |eight| {
            let letters = within(eight, b'A', b'Z') | within(eight, b'a', b'z');
            let others =
                within(eight, b'0', b'9') | within(eight, b'-', b'-') | within(eight, b'_', b'_');
            !(letters | others) & HIGHEST
        },
        |byte| !is_url_safe(*byte),
    );
    odd.is_none()
}

/// Whether `byte` is of that alphabet.
pub fn is_url_safe(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

/// Whether `byte` may be part of a token, and so of a header name (RFC 9110 §5.6.2).
pub fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The first byte that is `wanted`. `mark` says the same of eight at once: the highest bit of each one
/// wanted. Behind the first it may mark others too, for a difference borrows from the next byte.
fn first(
    bytes: &[u8],
    mark: impl Fn(u64) -> u64,
    wanted: impl FnMut(&u8) -> bool,
) -> Option<usize> {
    let Some(last) = bytes.last_chunk() else {
        return bytes.iter().position(wanted);
    };
    let (eights, _) = bytes.as_chunks();
    let mut before: usize = 0;
    for &eight in eights {
        let marks = mark(u64::from_le_bytes(eight));
        if marks != 0 {
            return Some(before.saturating_add(lowest(marks)));
        }
        before = before.saturating_add(8);
    }
    // The last eight begin with some that were looked at, and are not wanted.
    let marks = mark(u64::from_le_bytes(*last));
    let start = bytes.len().saturating_sub(8);
    (marks != 0).then(|| start.saturating_add(lowest(marks)))
}

/// Marks each byte from `least` to `most`, which are ASCII. Behind one that is not, it may mark others too.
fn within(eight: u64, least: u8, most: u8) -> u64 {
    let at_least = eight.wrapping_add(eight_of(0x80_u8.wrapping_sub(least)));
    let above = eight.wrapping_add(eight_of(0x7F_u8.wrapping_sub(most)));
    at_least & !above & !eight & HIGHEST
}

/// The byte that has the lowest mark.
fn lowest(marks: u64) -> usize {
    usize::try_from(marks.trailing_zeros() >> 3).unwrap_or_default()
}

/// The same byte eight times.
const fn eight_of(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// Marks zeros.
fn zero(eight: u64) -> u64 {
    below(eight, 1)
}

/// Marks what is below `limit`, at most 0x80.
fn below(eight: u64, limit: u8) -> u64 {
    eight.wrapping_sub(eight_of(limit)) & !eight & HIGHEST
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each byte among others, at each place of each length.
    fn each(mut see: impl FnMut(&[u8])) {
        for byte in 0..=u8::MAX {
            for other in [b'~', 0, 0x20, 0x7F, 0x80, 0xFF, byte ^ 1, byte.wrapping_add(1)] {
                for length in 0..20 {
                    for at in 0..length {
                        let mut bytes = vec![other; length];
                        bytes[at] = byte;
                        see(&bytes);
                    }
                }
            }
        }
    }

    #[test]
    fn every_byte_is_seen_at_every_place() {
        each(|bytes| {
            let naive = |wanted: &dyn Fn(u8) -> bool| bytes.iter().position(|&byte| wanted(byte));
            assert_eq!(position(bytes, [b'=']), naive(&|byte| byte == b'='), "{bytes:?}");
            let either = naive(&|byte| matches!(byte, 0 | 0xFF));
            assert_eq!(position(bytes, [0xFF, 0]), either, "{bytes:?}");
            let printable = bytes.iter().all(|byte| matches!(byte, b' '..=b'~'));
            assert_eq!(are_printable(bytes), printable, "{bytes:?}");
            let plain = printable && !bytes.iter().any(|byte| b"\"\\".contains(byte));
            assert_eq!(are_plain(bytes), plain, "{bytes:?}");
            let url_safe = bytes.iter().all(|byte| is_url_safe(*byte));
            assert_eq!(are_url_safe(bytes), url_safe, "{bytes:?}");
        });
    }
}
