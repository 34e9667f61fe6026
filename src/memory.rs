//! A bounded memory in which each entry has its time. What was remembered first goes first.

use std::collections::VecDeque;
use std::mem;
use std::time::{Duration, SystemTime};

use crate::hash::{Hash, Map};

/// At most so many entries, each until its time is over.
#[derive(Debug)]
pub struct Memory<V> {
    entries: Map<Entry<V>>,
    /// The keys in the order in which they were remembered, each with the number of its entry. What has another number
    /// by now was remembered again.
    order: VecDeque<(u64, Hash)>,
    next: u64,
    most: usize,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    number: u64,
    since: SystemTime,
    until: SystemTime,
}

impl<V> Memory<V> {
    /// A memory of at most `most` entries.
    pub fn new(most: usize) -> Memory<V> {
        Memory { entries: Map::default(), order: VecDeque::new(), next: 0, most }
    }

    /// What is remembered under `key` now. A clock that went back makes it forgotten.
    pub fn get(&self, key: &Hash, now: SystemTime) -> Option<&V> {
        let entry = self.entries.get(key)?;
        (entry.since <= now && now < entry.until).then_some(&entry.value)
    }

    /// Remembers `value` from `since` on, for `how_long`.
    pub fn remember(&mut self, key: Hash, value: V, since: SystemTime, how_long: Duration) {
        let Some(until) = since.checked_add(how_long).filter(|until| *until > since) else {
            return;
        };
        let number = self.next;
        self.next = number.saturating_add(1);
        self.entries.insert(key, Entry { value, number, since, until });
        self.order.push_back((number, key));
        while self.entries.len() > self.most {
            let Some((number, key)) = self.order.pop_front() else { return };
            if self.is_current(number, &key) {
                self.entries.remove(&key);
            }
        }
        if self.order.len() > self.most.saturating_mul(2) {
            let mut order = mem::take(&mut self.order);
            order.retain(|(number, key)| self.is_current(*number, key));
            self.order = order;
        }
    }

    fn is_current(&self, number: u64, key: &Hash) -> bool {
        self.entries.get(key).is_some_and(|entry| entry.number == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap()
    }

    fn key(byte: u8) -> Hash {
        [byte; 32]
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn an_entry_has_its_time() {
        let mut memory = Memory::new(2);
        memory.remember(key(1), 1, at(100), MINUTE);
        let found = [99, 100, 159, 160].map(|now| memory.get(&key(1), at(now)).copied());
        assert_eq!(found, [None, Some(1), Some(1), None]);
        memory.remember(key(1), 2, at(150), MINUTE);
        assert_eq!(memory.get(&key(1), at(209)), Some(&2));
        memory.remember(key(2), 1, at(100), Duration::ZERO);
        assert_eq!((memory.get(&key(2), at(100)), memory.entries.len()), (None, 1));
    }

    #[test]
    fn what_was_remembered_first_goes_first() {
        let mut memory = Memory::new(2);
        for (byte, value) in [(1, 0), (1, 0), (1, 1), (2, 2), (1, 3), (3, 4)] {
            memory.remember(key(byte), value, at(0), MINUTE);
            assert!(memory.order.len() <= 4);
        }
        let found = [1, 2, 3].map(|byte| memory.get(&key(byte), at(0)).copied());
        assert_eq!(found, [Some(3), None, Some(4)]);
        assert_eq!(memory.entries.len(), 2);
    }
}
