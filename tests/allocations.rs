//! What each event may allocate, and that nothing of it stays: by the release module with a counter
//! around its allocator. The module that is handed out keeps no count.
//!
//! `cargo test --test allocations -- --nocapture` prints the figures.

#![cfg(test)]

mod events;

use std::sync::LazyLock;

use testkit::altered::{Alteration, Replacement};
use testkit::wasm::{Host, Module};

use events::{CONFIGURATION, Ends, Kind, each, kinds, request};

/// The allocator, with three figures around it that the host can read.
const COUNTING: Alteration = Alteration {
    name: "counting-allocations",
    replacements: &[Replacement {
        file: "src/glue/mod.rs",
        from: "static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;\n",
        to: r#"static ALLOCATOR: Counting = Counting;

use core::alloc::{GlobalAlloc, Layout};
use core::cell::Cell;

struct Counting;

/// Calls that asked for memory; pieces that are held, and their bytes.
static ALLOCATIONS: Local<Cell<u32>> = Local(Cell::new(0));
static LIVE: Local<Cell<u32>> = Local(Cell::new(0));
static LIVE_BYTES: Local<Cell<u32>> = Local(Cell::new(0));

fn add(figure: &Local<Cell<u32>>, more: usize) {
    figure.0.set(figure.0.get().wrapping_add(more as u32));
}

// SAFETY: dlmalloc does the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(&ALLOCATIONS, 1);
        add(&LIVE, 1);
        add(&LIVE_BYTES, layout.size());
        unsafe { dlmalloc::GlobalDlmalloc.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        add(&ALLOCATIONS, 1);
        add(&LIVE, 1);
        add(&LIVE_BYTES, layout.size());
        unsafe { dlmalloc::GlobalDlmalloc.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        add(&ALLOCATIONS, 1);
        add(&LIVE_BYTES, size.wrapping_sub(layout.size()));
        unsafe { dlmalloc::GlobalDlmalloc.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        add(&LIVE, 1usize.wrapping_neg());
        add(&LIVE_BYTES, layout.size().wrapping_neg());
        unsafe { dlmalloc::GlobalDlmalloc.dealloc(old, layout) }
    }
}

#[unsafe(no_mangle)]
extern "C" fn allocations() -> u32 {
    ALLOCATIONS.0.get()
}

#[unsafe(no_mangle)]
extern "C" fn live() -> u32 {
    LIVE.0.get()
}

#[unsafe(no_mangle)]
extern "C" fn live_bytes() -> u32 {
    LIVE_BYTES.0.get()
}
"#,
    }],
    arguments: &[],
};

/// What an event may allocate, new or larger pieces. Who allocates less writes the new figure down.
const BUDGETS: [(&str, u32); 11] = [
    ("another path", 0),
    ("another path, large head", 0),
    // Each spelling of its path that is read takes a few (src/route.rs).
    ("disguise: 404", 17),
    ("method: 405", 0),
    ("method: 405, large head", 0),
    ("accept: 406", 0),
    // Its body says what was wrong.
    ("filter: 400", 3),
    ("count: request", 4),
    ("count, all filters: request", 11),
    ("count: answer", 1),
    ("end of a request", 0),
];

/// A machine that has had each kind of request, and so has room for those to come.
fn warm_host() -> Host {
    static MODULE: LazyLock<Module> =
        LazyLock::new(|| Module::load(&COUNTING.build().unwrap()).unwrap());
    let mut host = Host::start(&MODULE, CONFIGURATION).unwrap();
    each(&mut host, |_, _| ());
    host
}

fn allocations(host: &mut Host) -> u32 {
    host.figure("allocations").unwrap()
}

/// What the machine holds: pieces, their bytes, and the memory they lie in.
#[derive(Debug, PartialEq, Eq)]
struct Held {
    pieces: u32,
    bytes: u32,
    memory: usize,
}

impl Held {
    fn by(host: &mut Host) -> Held {
        let mut figure = |name| host.figure(name).unwrap();
        let (pieces, bytes) = (figure("live"), figure("live_bytes"));
        Held { pieces, bytes, memory: host.memory_bytes() }
    }
}

#[test]
fn each_event_allocates_what_it_did_and_no_more() {
    let mut host = warm_host();
    let mut before = allocations(&mut host);
    let events = each(&mut host, |host, _| {
        let after = allocations(host);
        after - std::mem::replace(&mut before, after)
    });
    println!("| event | allocations |");
    println!("|---|---:|");
    let mut spent = Vec::new();
    assert_eq!(events.len(), BUDGETS.len());
    for ((what, new), (budgeted, old)) in events.into_iter().zip(BUDGETS) {
        assert_eq!(what, budgeted);
        println!("| {what} | {new} |");
        if new > old {
            spent.push(format!("{what}: allocations were {old}, are {new}"));
        }
    }
    assert!(spent.is_empty(), "{}", spent.join("\n"));
}

#[test]
fn nothing_stays_of_a_request_and_a_thousand_allocate_as_much_as_one_each() {
    let mut host = warm_host();
    for kind in kinds() {
        let mut allocated = |times| {
            let before = allocations(&mut host);
            run(&kind, times, &mut host);
            allocations(&mut host) - before
        };
        let once = allocated(1);
        assert_eq!(allocated(1_000), once * 1_000, "{}", kind.what);
        let held = Held::by(&mut host);
        run(&kind, 1_000, &mut host);
        assert_eq!(Held::by(&mut host), held, "{}", kind.what);
    }
}

#[test]
fn an_odd_path_takes_one_piece_and_a_head_beyond_scratch_another() {
    let mut host = warm_host();
    let long = format!("/v2/p1/{}", "x".repeat(9_000));
    let long_and_escaped = format!("{long}%20");
    for (path, most) in
        [("/v2/p1/volumes/", 1), ("/v2/p1/volumes/a%20b", 1), (&long, 1), (&long_and_escaped, 2)]
    {
        let before = allocations(&mut host);
        let stream = host.request(&request("GET", path, "*/*")).unwrap().stream;
        let allocated = allocations(&mut host) - before;
        assert!(allocated <= most, "{path:.30}: allocations were {most}, are {allocated}");
        host.finish(stream).unwrap();
    }
}

#[test]
fn many_rejections_leave_memory_as_it_was() {
    // Unoptimised, this host takes a minute for a million; `cargo xtask reliability vm` runs them.
    const TIMES: usize = if cfg!(debug_assertions) { 150_000 } else { 1_000_000 };
    let mut host = warm_host();
    let refused = |kind: &Kind| matches!(kind.end, Ends::Refused(_));
    let refused: Vec<Kind> = kinds().into_iter().filter(refused).collect();
    let held = Held::by(&mut host);
    for _ in 0..TIMES / refused.len() {
        for kind in &refused {
            run(kind, 1, &mut host);
        }
    }
    assert_eq!(Held::by(&mut host), held);
}

fn run(kind: &Kind, times: usize, host: &mut Host) {
    for _ in 0..times {
        kind.run(host, &mut |_, _| ());
    }
}
