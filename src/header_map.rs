//! The host's form of a header map: the number of fields, all sizes, then all names and values, each followed by
//! a NUL. Sizes are little-endian `u32`s (proxy-wasm ABI 0.2.1).

use crate::request::Header;

/// A header map in the host's form, read without copying its fields.
#[derive(Clone, Debug, Default)]
pub struct HeaderMap {
    bytes: Vec<u8>,
}

impl HeaderMap {
    /// The map in these bytes; an empty one if they are malformed.
    pub fn new(bytes: Vec<u8>) -> HeaderMap {
        HeaderMap { bytes }
    }

    /// The `:path`; empty without one.
    pub fn path(&self) -> &[u8] {
        self.fields().find(|(name, _)| *name == b":path").map_or(&[], |(_, value)| value)
    }

    /// The fields, in order, up to the first that is malformed.
    pub fn fields(&self) -> Fields<'_> {
        let fields = take_size(&self.bytes).and_then(|(count, rest)| {
            let (sizes, data) = rest.split_at_checked(count.checked_mul(8)?)?;
            Some(Fields { sizes, data })
        });
        fields.unwrap_or(Fields { sizes: &[], data: &[] })
    }
}

/// The fields that are still to come.
#[derive(Clone, Debug)]
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

/// Header fields in the host's form.
pub fn serialize<'a>(fields: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(200);
    let mut push = |size: usize| {
        // On wasm32 no size is larger.
        bytes.extend_from_slice(&u32::try_from(size).unwrap_or(u32::MAX).to_le_bytes());
    };
    push(fields.clone().count());
    for (name, value) in fields.clone() {
        push(name.len());
        push(value.len());
    }
    for text in fields.flat_map(|(name, value)| [name, value]) {
        bytes.extend_from_slice(text.as_bytes());
        bytes.push(0);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: [(&str, &str); 3] = [("a", "b\0c"), (":path", "/"), ("x-empty", "")];

    #[test]
    fn what_is_written_is_read() {
        let map = HeaderMap::new(serialize(FIELDS.into_iter()));
        let bytes = FIELDS.map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        assert!(map.fields().eq(bytes));
        assert_eq!(map.path(), b"/");
        assert_eq!(HeaderMap::default().path(), b"");
    }

    #[test]
    fn what_is_cut_off_is_not_read() {
        let whole = serialize(FIELDS.into_iter());
        for end in 0..whole.len() {
            let map = HeaderMap::new(whole[..end].to_vec());
            assert!(map.fields().count() < FIELDS.len(), "{end}");
        }
        assert_eq!(HeaderMap::new(vec![0xFF; 64]).fields().count(), 0);
    }
}
