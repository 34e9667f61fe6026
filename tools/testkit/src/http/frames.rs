//! HTTP/2 frames (RFC 9113, section 4.1), for clients that say less or more than they should.

/// What a client says first.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// A piece of a body.
pub const DATA: u8 = 0;
/// The head of a request or an answer, or its beginning.
pub const HEADERS: u8 = 1;
/// The end of a stream, for a reason.
pub const RST_STREAM: u8 = 3;
/// What a peer wants of the other.
pub const SETTINGS: u8 = 4;
/// More of a head.
pub const CONTINUATION: u8 = 9;
/// A flag: nothing follows on this stream.
pub const END_STREAM: u8 = 1;
/// A flag: the head is whole.
pub const END_HEADERS: u8 = 4;

/// A frame of one of the first streams.
pub fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
}

/// Header fields, spelled out (RFC 7541, section 6.2.2).
pub fn fields<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        text(&mut block, name);
        text(&mut block, value);
    }
    block
}

/// A string with its length before it (RFC 7541, sections 5.1 and 5.2).
fn text(block: &mut Vec<u8>, text: &str) {
    let mut left = text.len();
    if left < 127 {
        block.push(left as u8);
    } else {
        block.push(127);
        left -= 127;
        while left >= 128 {
            block.push((left % 128) as u8 | 128);
            left /= 128;
        }
        block.push(left as u8);
    }
    block.extend_from_slice(text.as_bytes());
}
