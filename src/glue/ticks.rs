//! What a root context does on a tick: it looks at the requests that wait for one, and asks whether Envoy writes debug
//! lines.
//!
//! Requests start the ticks. They stop when no request needs them.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Weak;
use std::time::{Duration, SystemTime};

use proxy_wasm::hostcalls;

use super::imports;
use crate::edge::Step;
use crate::waiting::Held;

/// The period while requests wait for a tick.
const SHORT: Duration = Duration::from_millis(2);

/// How often Envoy is asked for its log level while requests come. Asking for each request would cost a rejection
/// 1,160 of 134,000 instructions.
const LONG: Duration = Duration::from_secs(1);

/// Envoy sends the local replies of a callback after it has returned, each within the one before, and continues
/// requests so. Some 300 exhaust the stack of the VM (docs/envoy-facts.md#local-replies).
const MOST_IN_A_TICK: usize = 100;

/// What the root context knows of a request that it carries on with.
pub struct Carried {
    /// Its number.
    pub id: u32,
    /// Whether it continues to the next filter.
    pub passed: Cell<bool>,
}

/// The same, for as long as the request's context is there.
pub type Alive = Weak<Carried>;

/// A root context's ticks, shared by its requests.
#[derive(Default)]
pub struct Ticks {
    /// The requests that wait, the oldest first.
    held: Cell<VecDeque<(Alive, Box<Held>)>>,
    /// Whether Envoy writes debug lines; `None` if no request has asked for a second.
    debug: Cell<Option<bool>>,
    /// Whether a request has asked since the last tick.
    asked: Cell<bool>,
    period: Cell<Duration>,
}

impl Ticks {
    /// Keeps a request until a tick has something to do with it.
    pub fn hold(&self, request: Alive, held: Box<Held>) {
        let mut queue = self.held.take();
        queue.push_back((request, held));
        self.held.set(queue);
        self.set_period(SHORT);
    }

    /// Whether Envoy writes debug lines, as it was when last asked: up to two seconds ago.
    pub fn logs_debug(&self) -> bool {
        self.asked.set(true);
        self.debug.get().unwrap_or_else(|| {
            if self.period.get().is_zero() {
                self.set_period(LONG);
            }
            self.ask()
        })
    }

    /// A tick: `carry_on` with the requests that need not wait any longer, at most [`MOST_IN_A_TICK`]; the others
    /// follow at the next.
    pub fn tick(&self, clock: impl Fn() -> SystemTime, mut carry_on: impl FnMut(&Alive, Step)) {
        let mut now = clock();
        let mut left = MOST_IN_A_TICK;
        let held = self.held.take();
        let mut waiting = VecDeque::with_capacity(held.len());
        for (request, held) in held {
            if request.strong_count() == 0 {
                // What it asked is open to those who asked the same.
                continue;
            }
            if left == 0 || held.waits(now) {
                waiting.push_back((request, held));
                continue;
            }
            let for_caller = held.is_for_caller();
            match held.poll(now) {
                Step::Hold(held) if held.is_for_caller() == for_caller => {
                    waiting.push_back((request, held));
                }
                step => {
                    left = left.saturating_sub(1);
                    carry_on(&request, step);
                    // What was carried out may have looked at the clock.
                    now = clock();
                }
            }
        }
        // What has come to wait meanwhile.
        waiting.append(&mut self.held.take());
        let requests_come = self.asked.replace(false);
        match requests_come {
            true => drop(self.ask()),
            false => self.debug.set(None),
        }
        self.set_period(match (waiting.is_empty(), requests_come) {
            (false, _) => SHORT,
            (true, true) => LONG,
            (true, false) => Duration::ZERO,
        });
        self.held.set(waiting);
    }

    fn ask(&self) -> bool {
        let debug = imports::logs_debug();
        self.debug.set(Some(debug));
        debug
    }

    /// Zero ends the ticks.
    fn set_period(&self, period: Duration) {
        if self.period.replace(period) != period {
            // It is `Ok`, or a panic of the SDK.
            let _ = hostcalls::set_tick_period(period);
        }
    }
}
