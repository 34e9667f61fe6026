//! SHA-256, and maps by it.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use sha2::{Digest, Sha256};

/// A SHA-256.
pub type Hash = [u8; 32];

/// The SHA-256 of a text.
pub fn of(text: &str) -> Hash {
    Sha256::digest(text.as_bytes()).into()
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
