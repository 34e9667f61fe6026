//! Keys that clients can choose, and maps by them.

use std::collections::HashMap;
use std::hash::{BuildHasher, DefaultHasher, Hasher};
use std::rc::Rc;
use std::time::SystemTime;

/// The key of a question. Whatever remembers it shares it.
pub type Key = Rc<[u8]>;

/// The SHA-256 of a text.
pub fn sha256(text: &str) -> [u8; 32] {
    hmac_sha256::Hash::hash(text.as_bytes())
}

/// A map in which a client cannot make keys meet: where one stands depends on a seed.
pub type Map<V> = HashMap<Key, V, Seed>;

/// The time, in nanoseconds, when a key was first put into a map. Clients do not know it to the nanosecond, and
/// learn nothing of where a key stands.
#[derive(Clone, Debug, Default)]
pub struct Seed(u64);

impl BuildHasher for Seed {
    type Hasher = DefaultHasher;

    fn build_hasher(&self) -> DefaultHasher {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.0);
        hasher
    }
}

/// Puts a value into a map.
pub fn insert<V>(map: &mut Map<V>, key: Key, value: V, now: SystemTime) {
    if map.capacity() == 0 {
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        *map = Map::with_hasher(Seed(u64::try_from(since.as_nanos()).unwrap_or_default()));
    }
    map.insert(key, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 180-2, appendix B.1.
    #[test]
    fn it_is_sha_256() {
        let hex: String = sha256("abc").iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn where_a_key_stands_depends_on_the_first_time() {
        let hash = |nanos: u64| {
            let first = SystemTime::UNIX_EPOCH.checked_add(std::time::Duration::from_nanos(nanos));
            let mut map = Map::default();
            insert(&mut map, Key::from(*b"a"), 1, first.unwrap());
            insert(&mut map, Key::from(*b"a"), 2, SystemTime::UNIX_EPOCH);
            assert_eq!(map.get(&b"a"[..]), Some(&2));
            map.hasher().hash_one(b"a")
        };
        assert_ne!(hash(1), hash(2));
    }
}
