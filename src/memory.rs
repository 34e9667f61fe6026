//! A bounded memory in which each entry has its time. What was remembered first goes first.

use std::collections::VecDeque;
use std::mem;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use crate::hash::{self, Key, Map};

/// So many entries and bytes of keys at most, each until its time is over.
#[derive(Debug)]
pub struct Memory<V> {
    entries: Map<Entry<V>>,
    /// The keys in the order in which they were remembered, each with the number of its entry. What has another number
    /// by now was remembered again.
    order: VecDeque<(u64, Key)>,
    next: u64,
    /// Of the keys of all entries.
    bytes: usize,
    most: usize,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    number: u64,
    since: SystemTime,
    until: SystemTime,
}

/// The most bytes of keys.
const MOST_BYTES: usize = 32 * 1024 * 1024;

impl<V> Memory<V> {
    /// A memory of at most `most` entries.
    pub fn new(most: usize) -> Memory<V> {
        Memory { entries: Map::default(), order: VecDeque::new(), next: 0, bytes: 0, most }
    }

    /// What is remembered under `key` now, and for how long it has been. A clock that went back makes it forgotten.
    pub fn get(&self, key: &[u8], now: SystemTime) -> Option<(&V, Duration)> {
        let entry = self.entries.get(key).filter(|entry| now < entry.until)?;
        Some((&entry.value, now.duration_since(entry.since).ok()?))
    }

    /// Remembers `value` from `since` on, for `how_long`.
    pub fn remember(&mut self, key: &[u8], value: V, since: SystemTime, how_long: Duration) {
        let Some(until) = since.checked_add(how_long).filter(|until| *until > since) else {
            return;
        };
        let number = self.next;
        self.next = number.saturating_add(1);
        let key = match self.entries.get_key_value(key) {
            Some((key, _)) => Rc::clone(key),
            None => {
                self.bytes = self.bytes.saturating_add(key.len());
                Key::from(key)
            }
        };
        self.order.push_back((number, Rc::clone(&key)));
        hash::insert(&mut self.entries, key, Entry { value, number, since, until }, since);
        while self.entries.len() > self.most || self.bytes > MOST_BYTES {
            let Some((number, key)) = self.order.pop_front() else { return };
            if self.is_current(number, &key) {
                self.remove(&key);
            }
        }
        if self.order.len() > self.most.saturating_mul(2) {
            self.tidy();
        }
    }

    /// Forgets what is remembered under `key`.
    pub fn forget(&mut self, key: &[u8]) {
        if self.remove(key) {
            self.tidy();
        }
    }

    fn remove(&mut self, key: &[u8]) -> bool {
        let was_there = self.entries.remove(key).is_some();
        if was_there {
            self.bytes = self.bytes.saturating_sub(key.len());
        }
        was_there
    }

    /// Leaves in the order what is an entry.
    fn tidy(&mut self) {
        let mut order = mem::take(&mut self.order);
        order.retain(|(number, key)| self.is_current(*number, key));
        self.order = order;
    }

    fn is_current(&self, number: u64, key: &[u8]) -> bool {
        self.entries.get(key).is_some_and(|entry| entry.number == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap()
    }

    fn values(memory: &Memory<u8>, keys: &[u8]) -> Vec<Option<u8>> {
        keys.iter().map(|&key| memory.get(&[key], at(0)).map(|(value, _)| *value)).collect()
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn an_entry_has_its_time() {
        let mut memory = Memory::new(2);
        memory.remember(b"1", 1, at(100), MINUTE);
        let found = [99, 100, 159, 160].map(|now| memory.get(b"1", at(now)));
        let second = Duration::from_secs(1);
        assert_eq!(found, [None, Some((&1, Duration::ZERO)), Some((&1, second * 59)), None]);
        memory.remember(b"1", 2, at(150), MINUTE);
        assert_eq!(memory.get(b"1", at(209)), Some((&2, second * 59)));
        memory.remember(b"2", 1, at(100), Duration::ZERO);
        assert_eq!((memory.get(b"2", at(100)), memory.entries.len()), (None, 1));
    }

    #[test]
    fn what_was_remembered_first_goes_first() {
        let mut memory = Memory::new(2);
        for (key, value) in [(1, 0), (1, 0), (1, 1), (2, 2), (1, 3), (3, 4)] {
            memory.remember(&[key], value, at(0), MINUTE);
            assert!(memory.order.len() <= 4);
        }
        assert_eq!(values(&memory, &[1, 2, 3]), [Some(3), None, Some(4)]);
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
        assert_eq!(values(&memory, &[1, 2, 3]), [None, Some(2), Some(3)]);
        assert_eq!((memory.order.len(), memory.bytes), (2, 2));
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
