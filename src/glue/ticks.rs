//! What a root context does on a tick: it ends pauses, and asks whether Envoy writes debug lines.
//!
//! Requests start the ticks. They stop when no request needs them.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Weak;
use std::time::{Duration, SystemTime};

use proxy_wasm::hostcalls;

use super::imports;
use crate::waiting::Paused;

/// The period while requests are paused.
const SHORT: Duration = Duration::from_millis(2);

/// How often Envoy is asked for its log level while requests come. Asking for each request would cost a rejection
/// 1,160 of 134,000 instructions.
const LONG: Duration = Duration::from_secs(1);

/// Envoy sends the local replies of a callback after it has returned, each within the one before. Some 300 exhaust
/// the stack of the VM (docs/envoy-facts.md#local-replies).
const MOST_IN_A_TICK: usize = 100;

/// A request's number, for as long as its context is there.
pub type Alive = Weak<u32>;

/// A root context's ticks, shared by its requests.
#[derive(Default)]
pub struct Ticks {
    /// Requests, in the order in which their pauses end.
    paused: Cell<VecDeque<(Alive, Box<Paused>)>>,
    /// Whether Envoy writes debug lines; `None` if no request has asked for a second.
    debug: Cell<Option<bool>>,
    /// Whether a request has asked since the last tick.
    asked: Cell<bool>,
    period: Cell<Duration>,
}

impl Ticks {
    /// Keeps a request until its pause has ended.
    pub fn pause(&self, request: Alive, paused: Box<Paused>) {
        let mut queue = self.paused.take();
        queue.push_back((request, paused));
        self.paused.set(queue);
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

    /// A tick: returns the requests whose pauses have ended, at most [`MOST_IN_A_TICK`]; the others follow at the next.
    pub fn tick(&self, now: SystemTime) -> Vec<(Alive, Box<Paused>)> {
        let mut queue = self.paused.take();
        let mut ended = Vec::new();
        while ended.len() < MOST_IN_A_TICK
            && queue.front().is_some_and(|(_, paused)| paused.is_over(now))
        {
            ended.extend(queue.pop_front());
        }
        let requests_come = self.asked.replace(false);
        match requests_come {
            true => drop(self.ask()),
            false => self.debug.set(None),
        }
        self.set_period(match (queue.is_empty(), requests_come) {
            (false, _) => SHORT,
            (true, true) => LONG,
            (true, false) => Duration::ZERO,
        });
        self.paused.set(queue);
        ended
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
