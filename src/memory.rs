//! A bounded memory in which each entry has its time. What was remembered first goes first.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use crate::hash::{self, Key, Map};

/// So many entries and bytes of keys at most, each until its time is over.
#[derive(Debug)]
pub struct Memory<V> {
    entries: Map<Entry<V>>,
    order: Order,
    /// Of the keys of all entries.
    bytes: usize,
    most: usize,
    /// When it was last asked.
    asked: SystemTime,
    /// The entries before this one met a clock that went back.
    valid_from: u64,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    number: u64,
    since: SystemTime,
    until: SystemTime,
}

/// The keys in the order in which they were remembered, each with a number. One that was forgotten, or remembered again,
/// leaves a gap. Apart from what is remembered, so that the module has its code once.
#[derive(Debug, Default)]
struct Order {
    keys: VecDeque<(u64, Option<Key>)>,
    next: u64,
}

/// The most bytes of keys.
const MOST_BYTES: usize = 32 * 1024 * 1024;

impl<V> Memory<V> {
    /// A memory of at most `most` entries.
    pub fn new(most: usize) -> Memory<V> {
        let (entries, order) = (Map::default(), Order::default());
        Memory { entries, order, bytes: 0, most, asked: SystemTime::UNIX_EPOCH, valid_from: 0 }
    }

    /// What is remembered under `key` now, and for how long it has been. A clock that goes back ends the time of all that
    /// is remembered.
    pub fn get(&mut self, key: &[u8], now: SystemTime) -> Option<(&V, Duration)> {
        if now < self.asked {
            self.valid_from = self.order.next;
        }
        self.asked = now;
        let entry = self.entries.get(key)?;
        let is_valid = entry.number >= self.valid_from && now < entry.until;
        Some((&entry.value, now.duration_since(entry.since).ok().filter(|_| is_valid)?))
    }

    /// Remembers `value` from `since` on, for `how_long`.
    pub fn remember(&mut self, key: &[u8], value: V, since: SystemTime, how_long: Duration) {
        let Some(until) = since.checked_add(how_long).filter(|until| *until > since) else {
            return;
        };
        let before = self.entries.get(key).map(|entry| entry.number);
        let key = before.and_then(|number| self.order.leave(number)).unwrap_or_else(|| {
            self.bytes = self.bytes.saturating_add(key.len());
            Key::from(key)
        });
        let number = self.order.join(Rc::clone(&key), self.most);
        hash::insert(&mut self.entries, key, Entry { value, number, since, until }, since);
        while self.entries.len() > self.most || self.bytes > MOST_BYTES {
            let Some(key) = self.order.first() else { return };
            self.remove(&key);
        }
    }

    /// Forgets what is remembered under `key`, and the key.
    pub fn forget(&mut self, key: &[u8]) {
        if let Some(number) = self.remove(key) {
            self.order.leave(number);
        }
    }

    /// The number of the entry that was there.
    fn remove(&mut self, key: &[u8]) -> Option<u64> {
        let Entry { number, .. } = self.entries.remove(key)?;
        self.bytes = self.bytes.saturating_sub(key.len());
        Some(number)
    }
}

impl Order {
    /// Puts a key last. With more gaps than there may be keys they are closed.
    fn join(&mut self, key: Key, most: usize) -> u64 {
        if self.keys.len() >= most.saturating_mul(2) {
            self.keys.retain(|(_, key)| key.is_some());
        }
        let number = self.next;
        self.next = number.saturating_add(1);
        self.keys.push_back((number, Some(key)));
        number
    }

    /// Takes the key with this number out.
    fn leave(&mut self, number: u64) -> Option<Key> {
        let place = self.keys.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        self.keys.get_mut(place)?.1.take()
    }

    /// Takes the first key out.
    fn first(&mut self) -> Option<Key> {
        while let Some((_, key)) = self.keys.pop_front() {
            if key.is_some() {
                return key;
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap()
    }

    fn values(memory: &mut Memory<u8>, keys: &[u8]) -> Vec<Option<u8>> {
        keys.iter().map(|&key| memory.get(&[key], at(0)).map(|(value, _)| *value)).collect()
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn an_entry_has_its_time() {
        let mut memory = Memory::new(2);
        memory.remember(b"1", 1, at(100), MINUTE);
        assert_eq!(memory.get(b"1", at(100)), Some((&1, Duration::ZERO)));
        assert_eq!(memory.get(b"1", at(159)), Some((&1, Duration::from_secs(59))));
        assert_eq!(memory.get(b"1", at(160)), None);
        memory.remember(b"1", 2, at(150), MINUTE);
        assert_eq!(memory.get(b"1", at(209)), Some((&2, Duration::from_secs(59))));
        memory.remember(b"2", 1, at(100), Duration::ZERO);
        assert_eq!(memory.get(b"2", at(100)), None);
        assert_eq!(memory.entries.len(), 1);
    }

    #[test]
    fn a_clock_that_goes_back_revives_nothing() {
        let mut memory = Memory::new(3);
        for (key, since) in [(b"1", 100), (b"2", 100), (b"3", 90)] {
            memory.remember(key, 1, at(since), MINUTE);
        }
        assert!(memory.get(b"1", at(155)).is_some());
        assert_eq!(memory.get(b"2", at(154)), None, "asked about or not");
        memory.remember(b"1", 2, at(154), MINUTE);
        assert!(memory.get(b"1", at(154)).is_some());
        assert_eq!(memory.get(b"2", at(155)), None);
        assert_eq!(memory.get(b"3", at(156)), None);
        memory.remember(b"2", 2, at(200), MINUTE);
        assert_eq!(memory.get(b"2", at(199)), None, "before it began");
    }

    #[test]
    fn what_was_remembered_first_goes_first() {
        let mut memory = Memory::new(2);
        for (key, value) in [(1, 0), (1, 0), (1, 1), (2, 2), (1, 3), (3, 4)] {
            memory.remember(&[key], value, at(0), MINUTE);
            assert!(memory.order.keys.len() <= 4);
        }
        assert_eq!(values(&mut memory, &[1, 2, 3]), [Some(3), None, Some(4)]);
        assert_eq!((memory.entries.len(), memory.bytes), (2, 2));
    }

    #[test]
    fn what_is_forgotten_makes_room() {
        let mut memory = Memory::new(2);
        memory.remember(&[1], 1, at(0), MINUTE);
        memory.remember(&[2], 2, at(0), MINUTE);
        memory.forget(&[1]);
        memory.forget(&[9]);
        memory.remember(&[3], 3, at(0), MINUTE);
        assert_eq!(values(&mut memory, &[1, 2, 3]), [None, Some(2), Some(3)]);
        assert_eq!((memory.entries.len(), memory.bytes), (2, 2));
        for _ in 0..6 {
            memory.remember(&[4], 4, at(0), MINUTE);
            memory.forget(&[4]);
            assert!(memory.order.keys.len() <= 4);
        }
        let keys = memory.order.keys.iter().filter(|(_, key)| key.is_some());
        assert_eq!(keys.count(), memory.entries.len(), "nor is its key there");
        assert_eq!(values(&mut memory, &[3]), [Some(3)]);
    }

    #[test]
    fn the_bytes_of_keys_are_bounded() {
        let mut memory = Memory::new(100_000);
        let key = |number: u32| [number.to_le_bytes().as_slice(), &[0; 4092]].concat();
        for number in 0..8_194 {
            memory.remember(&key(number), number, at(0), MINUTE);
            memory.remember(&key(number), number, at(0), MINUTE);
        }
        let found = [0, 1, 2, 8_193].map(|number| memory.get(&key(number), at(0)).is_some());
        assert_eq!(found, [false, false, true, true]);
        assert_eq!((memory.entries.len(), memory.bytes), (8_192, MOST_BYTES));
    }
}
