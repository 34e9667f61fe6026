//! Values by number. Envoy numbers contexts and callouts one after the other, so
//! the number itself says where to look: the first free place from there on.

use alloc::vec::Vec;

/// Places in a ring, always a power of two of them and at least half of them free.
pub struct Table<V> {
    places: Vec<Option<(u32, V)>>,
    taken: usize,
}

impl<V> Table<V> {
    pub const fn new() -> Table<V> {
        Table { places: Vec::new(), taken: 0 }
    }

    pub fn get_mut(&mut self, number: u32) -> Option<&mut V> {
        let at = self.find(number)?;
        self.places.get_mut(at)?.as_mut().map(|(_, value)| value)
    }

    /// Returns what stood there.
    pub fn insert(&mut self, number: u32, value: V) -> Option<V> {
        if let Some(there) = self.get_mut(number) {
            return Some(core::mem::replace(there, value));
        }
        if self.taken >= self.places.len() >> 1 {
            self.grow();
        }
        self.put(number, value);
        None
    }

    pub fn remove(&mut self, number: u32) -> Option<V> {
        let mut at = self.find(number)?;
        let (_, value) = self.places.get_mut(at)?.take()?;
        self.taken = self.taken.saturating_sub(1);
        // What follows without a gap may have found this place taken: each gets another chance.
        loop {
            at = self.after(at);
            let Some((number, value)) = self.places.get_mut(at).and_then(Option::take) else {
                return Some(value);
            };
            self.taken = self.taken.saturating_sub(1);
            self.put(number, value);
        }
    }

    fn find(&self, number: u32) -> Option<usize> {
        let mut at = self.first(number);
        // Half of the places are free, so this ends.
        while let Some((other, _)) = self.places.get(at)? {
            if *other == number {
                return Some(at);
            }
            at = self.after(at);
        }
        None
    }

    fn put(&mut self, number: u32, value: V) {
        let mut at = self.first(number);
        while let Some(place) = self.places.get_mut(at) {
            if place.is_none() {
                *place = Some((number, value));
                self.taken = self.taken.saturating_add(1);
                return;
            }
            at = self.after(at);
        }
    }

    fn grow(&mut self) {
        let more = self.places.len().saturating_mul(2).max(16);
        let places = core::mem::take(&mut self.places);
        self.places.resize_with(more, || None);
        self.taken = 0;
        for (number, value) in places.into_iter().flatten() {
            self.put(number, value);
        }
    }

    fn first(&self, number: u32) -> usize {
        usize::try_from(number).unwrap_or_default() & self.mask()
    }

    fn after(&self, at: usize) -> usize {
        at.wrapping_add(1) & self.mask()
    }

    fn mask(&self) -> usize {
        self.places.len().saturating_sub(1)
    }
}
