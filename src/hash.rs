//! SHA-256, and maps by it.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A SHA-256.
pub type Hash = [u8; 32];

/// The SHA-256 of a text.
pub fn of(text: &str) -> Hash {
    hmac_sha256::Hash::hash(text.as_bytes())
}

/// A map whose keys are spread already. Who makes up texts whose hashes begin alike makes only their own lookups slow.
pub type Map<V> = HashMap<Hash, V, BuildHasherDefault<FirstBytes>>;

/// Takes the first eight bytes of a key for its hash.
#[derive(Default)]
pub struct FirstBytes(u64);

impl Hasher for FirstBytes {
    fn write(&mut self, bytes: &[u8]) {
        // A key's length is written too.
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 180-2, appendix B.1.
    #[test]
    fn it_is_sha_256() {
        let hex: String = of("abc").iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
