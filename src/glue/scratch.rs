//! Where the host puts the bytes it hands over: in a piece of memory that is
//! there already, as long as they fit. A request that is refused or passes
//! needs no more.

use alloc::alloc::{Layout, alloc, dealloc};
use core::cell::Cell;
use core::ops::Deref;
use core::ptr::{NonNull, null_mut};

use super::Local;

/// The head of an ordinary request takes one to two KiB, and its path half of one.
const SIZE: usize = 8 * 1024;

struct Scratch {
    memory: [Cell<u8>; SIZE],
    /// Handed out up to here.
    used: Cell<usize>,
    /// [`Bytes`] that are still read. Without any, all of it is free again.
    alive: Cell<usize>,
}

static SCRATCH: Local<Scratch> = Local(Scratch {
    memory: [const { Cell::new(0) }; SIZE],
    used: Cell::new(0),
    alive: Cell::new(0),
});

/// Memory for the host; null if there is none.
pub fn allocate(size: usize) -> *mut u8 {
    if size == 0 {
        return null_mut();
    }
    let scratch = &SCRATCH.0;
    if scratch.alive.get() == 0 {
        scratch.used.set(0);
    }
    let used = scratch.used.get();
    let place = scratch.memory.get(used..).and_then(|free| free.get(..size));
    match (place, Layout::array::<u8>(size)) {
        (Some(place), _) => {
            scratch.used.set(used.saturating_add(size));
            // A Cell may be written through a shared reference.
            place.as_ptr().cast::<u8>().cast_mut()
        }
        // SAFETY: the size is not 0.
        (None, Ok(layout)) => unsafe { alloc(layout) },
        (None, Err(_)) => null_mut(),
    }
}

/// Bytes from the host. They may be scratch, which goes on being theirs until they are dropped.
#[derive(Default)]
pub struct Bytes {
    place: Option<(NonNull<u8>, usize)>,
}

impl Bytes {
    /// # Safety
    /// `data` is from [`allocate`], of this size, filled, and nobody else's.
    pub unsafe fn from_host(data: *mut u8, size: usize) -> Bytes {
        let place = NonNull::new(data).map(|data| (data, size));
        if place.is_some() {
            let alive = &SCRATCH.0.alive;
            alive.set(alive.get().saturating_add(1));
        }
        Bytes { place }
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self.place {
            // SAFETY: see `from_host`; nobody writes to it as long as this is alive.
            Some((data, size)) => unsafe { core::slice::from_raw_parts(data.as_ptr(), size) },
            None => &[],
        }
    }
}

impl Drop for Bytes {
    fn drop(&mut self) {
        let Some((data, size)) = self.place else { return };
        let Scratch { memory, alive, .. } = &SCRATCH.0;
        alive.set(alive.get().saturating_sub(1));
        if memory.as_ptr_range().contains(&data.as_ptr().cast_const().cast()) {
            return;
        }
        if let Ok(layout) = Layout::array::<u8>(size) {
            // SAFETY: what is not scratch, `allocate` got with this layout.
            unsafe { dealloc(data.as_ptr(), layout) }
        }
    }
}
