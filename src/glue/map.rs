//! The host's form of a header map: a count, all sizes, then all names and
//! values, each with a NUL behind it. Sizes are little-endian `u32`s.

use super::Local;
use super::scratch::Bytes;
use crate::call::Header;
use alloc::vec::Vec;
use core::cell::Cell;

/// A header map as the host handed it over.
#[derive(Default)]
pub struct HeaderMap {
    bytes: Bytes,
}

impl HeaderMap {
    pub fn new(bytes: Bytes) -> HeaderMap {
        HeaderMap { bytes }
    }

    /// The `:path`; empty without one.
    pub fn path(&self) -> &[u8] {
        self.fields().find(|(name, _)| *name == b":path").map_or(&[], |(_, value)| value)
    }

    /// The fields, in order. What does not fit the form ends them.
    pub fn fields(&self) -> Fields<'_> {
        let fields = take_size(&self.bytes).and_then(|(count, rest)| {
            let (sizes, data) = rest.split_at_checked(count.checked_mul(8)?)?;
            Some(Fields { sizes, data })
        });
        fields.unwrap_or(Fields { sizes: &[], data: &[] })
    }
}

/// The fields that are still to come.
#[derive(Clone)]
pub struct Fields<'a> {
    sizes: &'a [u8],
    data: &'a [u8],
}

impl<'a> Iterator for Fields<'a> {
    type Item = Header<'a>;

    fn next(&mut self) -> Option<Header<'a>> {
        let (name_size, sizes) = take_size(self.sizes)?;
        let (value_size, sizes) = take_size(sizes)?;
        let (name, data) = self.data.split_at_checked(name_size)?;
        let (value, data) = data.split_first()?.1.split_at_checked(value_size)?;
        let (_, data) = data.split_first()?;
        *self = Fields { sizes, data };
        Some((name, value))
    }
}

fn take_size(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (size, rest) = bytes.split_first_chunk()?;
    Some((usize::try_from(u32::from_le_bytes(*size)).ok()?, rest))
}

/// Hands header fields in the host's form to `send`. They are written where the last ones were, so that
/// a reply takes no memory.
pub fn serialized<'a, R>(
    fields: impl Iterator<Item = (&'a str, &'a [u8])> + Clone,
    send: impl FnOnce(&[u8]) -> R,
) -> R {
    static LAST: Local<Cell<Vec<u8>>> = Local(Cell::new(Vec::new()));
    /// More than this is not kept.
    const ORDINARY: usize = 8 * 1024;
    let mut bytes = LAST.0.take();
    bytes.clear();
    push_size(&mut bytes, fields.clone().count());
    for (name, value) in fields.clone() {
        push_size(&mut bytes, name.len());
        push_size(&mut bytes, value.len());
    }
    for (name, value) in fields {
        for text in [name.as_bytes(), value] {
            bytes.extend_from_slice(text);
            bytes.push(0);
        }
    }
    let sent = send(&bytes);
    if bytes.capacity() <= ORDINARY {
        LAST.0.set(bytes);
    }
    sent
}

fn push_size(bytes: &mut Vec<u8>, size: usize) {
    // On wasm32 no size is larger.
    let size = u32::try_from(size).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&size.to_le_bytes());
}
