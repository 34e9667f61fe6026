//! The host's form of a header map: a count, all sizes, then all names and
//! values, each with a NUL behind it. Sizes are little-endian `u32`s.

use crate::call::Header;

/// A header map as the host handed it over.
pub struct HeaderMap {
    bytes: Vec<u8>,
}

impl HeaderMap {
    pub fn new(bytes: Vec<u8>) -> HeaderMap {
        HeaderMap { bytes }
    }

    /// The fields, in order. What does not fit the form ends the list.
    pub fn fields(&self) -> Vec<Header<'_>> {
        let Some((count, rest)) = take_size(&self.bytes) else {
            return Vec::new();
        };
        let Some((mut sizes, mut data)) =
            count.checked_mul(8).and_then(|sizes| rest.split_at_checked(sizes))
        else {
            return Vec::new();
        };
        let mut fields = Vec::with_capacity(count);
        while let Some((field, next_sizes, next_data)) = take_field(sizes, data) {
            fields.push(field);
            (sizes, data) = (next_sizes, next_data);
        }
        fields
    }
}

fn take_field<'a>(sizes: &'a [u8], data: &'a [u8]) -> Option<(Header<'a>, &'a [u8], &'a [u8])> {
    let (name_size, sizes) = take_size(sizes)?;
    let (value_size, sizes) = take_size(sizes)?;
    let (name, data) = data.split_at_checked(name_size)?;
    let (value, data) = data.strip_prefix(b"\0")?.split_at_checked(value_size)?;
    Some(((name, value), sizes, data.strip_prefix(b"\0")?))
}

fn take_size(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (size, rest) = bytes.split_first_chunk()?;
    Some((usize::try_from(u32::from_le_bytes(*size)).ok()?, rest))
}

/// Header fields in the host's form.
pub fn serialize<N: AsRef<str>, V: AsRef<str>>(fields: &[(N, V)]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(128);
    push_size(&mut bytes, fields.len());
    for (name, value) in fields {
        push_size(&mut bytes, name.as_ref().len());
        push_size(&mut bytes, value.as_ref().len());
    }
    for (name, value) in fields {
        for text in [name.as_ref(), value.as_ref()] {
            bytes.extend_from_slice(text.as_bytes());
            bytes.push(0);
        }
    }
    bytes
}

fn push_size(bytes: &mut Vec<u8>, size: usize) {
    // On wasm32 no size is larger.
    let size = u32::try_from(size).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&size.to_le_bytes());
}
