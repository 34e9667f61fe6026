//! The ABI's form of a header map: a count, all sizes, then all names and values, each with a NUL
//! behind it. Sizes are little-endian `u32`s (proxy-wasm-cpp-host `pairs_util.cc`).

/// Header fields, in order.
pub(super) type Headers = Vec<(Vec<u8>, Vec<u8>)>;

/// A copy of a test's headers.
pub(super) fn owned(headers: &[(&[u8], &[u8])]) -> Headers {
    headers.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
}

/// Header fields in the ABI's form. The filter has code of its own for it (`src/header_map.rs`): were it the same,
/// what is wrong in both would be right in tests.
pub fn encode<T: AsRef<[u8]>>(headers: &[(T, T)]) -> Vec<u8> {
    let mut bytes = size(headers.len()).to_vec();
    for (name, value) in headers {
        bytes.extend(size(name.as_ref().len()));
        bytes.extend(size(value.as_ref().len()));
    }
    for text in headers.iter().flat_map(|(name, value)| [name, value]) {
        bytes.extend(text.as_ref());
        bytes.push(0);
    }
    bytes
}

fn size(size: usize) -> [u8; 4] {
    u32::try_from(size).expect("tests send less than 4 GiB").to_le_bytes()
}

/// The fields of a map; `None` if it breaks the form, where Envoy would read past its end.
pub(super) fn decode(bytes: &[u8]) -> Option<Headers> {
    let (count, rest) = take_size(bytes)?;
    let (mut sizes, mut data) = rest.split_at_checked(count.checked_mul(8)?)?;
    let mut headers = Headers::new();
    while !sizes.is_empty() {
        let (name, value);
        (name, sizes, data) = take_text(sizes, data)?;
        (value, sizes, data) = take_text(sizes, data)?;
        headers.push((name.to_vec(), value.to_vec()));
    }
    data.is_empty().then_some(headers)
}

fn take_text<'a>(sizes: &'a [u8], data: &'a [u8]) -> Option<(&'a [u8], &'a [u8], &'a [u8])> {
    let (size, sizes) = take_size(sizes)?;
    let (text, data) = data.split_at_checked(size)?;
    Some((text, sizes, data.strip_prefix(b"\0")?))
}

fn take_size(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (size, rest) = bytes.split_first_chunk()?;
    Some((usize::try_from(u32::from_le_bytes(*size)).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_survives_its_form_and_a_broken_one_is_refused() {
        let headers = owned(&[(b":path", b"/"), (b"x-empty", b""), (b"x", b"\xff\0")]);
        let bytes = encode(&headers);
        assert_eq!(decode(&bytes), Some(headers));
        for end in 0..bytes.len() {
            assert_eq!(decode(&bytes[..end]), None, "cut at {end}");
        }
        assert_eq!(decode(&[0; 4]), Some(Headers::new()));
    }
}
