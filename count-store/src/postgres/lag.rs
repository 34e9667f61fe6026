//! How far each server is behind the newest of those that can be reached.
//!
//! Every second each server is asked how far its write-ahead log has come: a primary's end, a standby's
//! last record that was replayed. A server's lag is the time since another that can be reached now first
//! was further. What PostgreSQL itself tells would lie: the time of the last replayed transaction grows
//! while a primary rests, and a standby that is cut off has replayed all that it has received.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How old a measurement may be to say that a server can be reached. They are made every second.
const FRESH: Duration = Duration::from_millis(2_500);

/// How far back positions are known: the most that a server may be behind and be asked.
const KEPT: Duration = Duration::from_secs(3_600);

/// A place in the write-ahead log, in bytes from its beginning.
pub(crate) type Position = u64;

/// The positions of all servers, as far back as matters.
#[derive(Debug)]
pub(crate) struct Positions(Vec<History>);

/// Positions of one server.
#[derive(Clone, Debug, Default)]
struct History {
    /// Each position that was further than the one before, and since when it may have been there: for the
    /// first, nobody knows.
    reached: VecDeque<(Option<Instant>, Position)>,
    /// When it last answered.
    measured: Option<Instant>,
    /// Whether it answered when it was last asked.
    answers: bool,
    /// Of a primary: how many times a standby has been promoted before it wrote its log.
    timeline: Option<u32>,
}

/// What a server says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Measured {
    pub(crate) position: Position,
    /// The timeline of a primary. A standby does not tell its own.
    pub(crate) timeline: Option<u32>,
}

/// Whether a server may be asked to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It cannot be reached.
    Lost,
    /// It is a primary, and another was promoted over it: what it has besides, nobody else ever gets.
    Superseded,
    /// It was so far behind when it was last asked, and has come no further.
    Behind(Duration),
}

impl Positions {
    pub(crate) fn new(servers: usize) -> Positions {
        Positions(vec![History::default(); servers])
    }

    /// A server's answer.
    pub(crate) fn measured(&mut self, server: usize, now: Instant, measured: Measured) {
        let Some(history) = self.0.get_mut(server) else { return };
        let Measured { position, timeline } = measured;
        history.timeline = timeline;
        // After a time without answers, it may have been there ever since the last one.
        let since = if history.is_reachable(now) { Some(now) } else { history.measured };
        history.measured = Some(now);
        history.answers = true;
        // A server may have been put back, and no longer has what it once had.
        while history.reached.back().is_some_and(|&(_, reached)| reached > position) {
            history.reached.pop_back();
        }
        if history.reached.back().is_none_or(|&(_, reached)| reached < position) {
            history.reached.push_back((since, position));
        }
        let is_old =
            |at: Option<Instant>| at.is_none_or(|at| now.saturating_duration_since(at) > KEPT);
        while history.reached.get(1).is_some_and(|&(since, _)| is_old(since)) {
            history.reached.pop_front();
        }
    }

    /// A server that could not be asked.
    pub(crate) fn lost(&mut self, server: usize) {
        if let Some(history) = self.0.get_mut(server) {
            history.answers = false;
        }
    }

    /// Whether a server may be asked.
    pub(crate) fn standing(&self, server: usize, now: Instant) -> Standing {
        let history = self.0.get(server).filter(|history| history.is_reachable(now));
        let Some((history, measured)) = history.and_then(|one| Some((one, one.measured?))) else {
            return Standing::Lost;
        };
        let timeline = self.timeline(now);
        if history.is_superseded(timeline) {
            return Standing::Superseded;
        }
        let position = history.reached.back().map_or(0, |&(_, position)| position);
        let others = self.0.iter().filter(|other| other.is_reachable(now));
        let others = others.filter(|other| !other.is_superseded(timeline));
        let passed = others.filter_map(|other| other.passed(position));
        // The longest of all, for that is the time since the first was further.
        let lags = passed.map(|at| match at {
            None => Duration::MAX,
            // It has not been asked since.
            Some(at) if at > measured => Duration::ZERO,
            Some(at) => now.saturating_duration_since(at),
        });
        Standing::Behind(lags.max().unwrap_or_default())
    }

    /// The last one of the primaries that can be reached.
    fn timeline(&self, now: Instant) -> Option<u32> {
        let reachable = self.0.iter().filter(|history| history.is_reachable(now));
        reachable.filter_map(|history| history.timeline).max()
    }
}

impl History {
    fn is_reachable(&self, now: Instant) -> bool {
        let is_fresh = |at| now.saturating_duration_since(at) < FRESH;
        self.answers && self.measured.is_some_and(is_fresh)
    }

    fn is_superseded(&self, timeline: Option<u32>) -> bool {
        self.timeline.is_some_and(|own| timeline.is_some_and(|last| own < last))
    }

    /// Since when it was further than a position, if it is.
    fn passed(&self, position: Position) -> Option<Option<Instant>> {
        let first = self.reached.partition_point(|&(_, reached)| reached <= position);
        self.reached.get(first).map(|&(since, _)| since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIMARY: usize = 0;
    const STANDBY: usize = 1;
    const OTHER: usize = 2;

    /// Three servers, and answers of theirs by the second; nothing is one that could not be asked.
    struct Seconds(Positions, Instant);

    impl Seconds {
        fn new() -> Seconds {
            Seconds(Positions::new(3), Instant::now())
        }

        fn at(&self, second: u64) -> Instant {
            self.1.checked_add(Duration::from_secs(second)).unwrap()
        }

        fn ask(&mut self, second: u64, answers: [Option<Position>; 3]) {
            let now = self.at(second);
            for (server, answer) in answers.into_iter().enumerate() {
                match answer {
                    Some(position) => {
                        self.0.measured(server, now, Measured { position, timeline: None });
                    }
                    None => self.0.lost(server),
                }
            }
        }

        /// The lag of each, in s; `None` if it cannot be reached.
        fn lags(&self, second: u64) -> [Option<u64>; 3] {
            let now = self.at(second);
            [PRIMARY, STANDBY, OTHER].map(|server| match self.0.standing(server, now) {
                Standing::Behind(lag) => Some(lag.as_secs()),
                Standing::Lost | Standing::Superseded => None,
            })
        }
    }

    #[test]
    fn all_are_level_while_nothing_is_written() {
        let mut seconds = Seconds::new();
        for second in 0..100 {
            seconds.ask(second, [Some(7), Some(7), Some(7)]);
            assert_eq!(seconds.lags(second), [Some(0); 3]);
        }
    }

    #[test]
    fn a_standby_that_gets_nothing_is_behind_since_the_first_write_that_it_lacks() {
        let mut seconds = Seconds::new();
        seconds.ask(0, [Some(7), Some(7), Some(7)]);
        seconds.ask(1, [Some(7), Some(7), Some(7)]);
        for second in 2..10 {
            seconds.ask(second, [Some(6 + second), Some(6 + second), Some(7)]);
            assert_eq!(seconds.lags(second), [Some(0), Some(0), Some(second - 2)]);
        }
        // It gets some of what it lacks: the writes of seconds 2 to 8, and then all.
        seconds.ask(10, [Some(16), Some(16), Some(14)]);
        assert_eq!(seconds.lags(10), [Some(0), Some(0), Some(1)]);
        seconds.ask(11, [Some(16), Some(16), Some(16)]);
        assert_eq!(seconds.lags(11), [Some(0); 3]);
    }

    #[test]
    fn the_time_between_two_measurements_counts() {
        let mut seconds = Seconds::new();
        seconds.ask(0, [Some(7), Some(7), Some(7)]);
        seconds.ask(1, [Some(8), Some(8), Some(7)]);
        assert_eq!(seconds.lags(2), [Some(0), Some(0), Some(1)]);
        // What the others have come to since a standby was asked, it may have too.
        let now = seconds.at(2);
        seconds.0.measured(PRIMARY, now, Measured { position: 9, timeline: None });
        assert_eq!(seconds.lags(3), [Some(0), Some(0), Some(2)]);
    }

    #[test]
    fn nobody_knows_how_long_a_standby_is_behind_that_is_so_from_the_first() {
        let mut seconds = Seconds::new();
        seconds.ask(0, [Some(7), Some(6), Some(7)]);
        assert_eq!(seconds.lags(0), [Some(0), Some(Duration::MAX.as_secs()), Some(0)]);
        seconds.ask(1, [Some(9), Some(7), Some(9)]);
        assert_eq!(seconds.lags(1), [Some(0); 3], "the write of this second is all that it lacks");
    }

    #[test]
    fn without_the_primary_standbys_are_judged_by_one_another() {
        let mut seconds = Seconds::new();
        seconds.ask(0, [Some(7), Some(7), Some(7)]);
        seconds.ask(1, [Some(9), Some(8), Some(7)]);
        seconds.ask(2, [None, Some(8), Some(7)]);
        assert_eq!(seconds.lags(2), [None, Some(0), Some(1)]);
        seconds.ask(3, [None, None, Some(7)]);
        assert_eq!(seconds.lags(3), [None, None, Some(0)]);
    }

    #[test]
    fn what_a_server_had_while_it_could_not_be_reached_counts_from_then() {
        let mut seconds = Seconds::new();
        seconds.ask(0, [Some(7), Some(7), Some(7)]);
        for second in 1..10 {
            seconds.ask(second, [None, Some(7), Some(7)]);
        }
        seconds.ask(10, [Some(8), Some(7), Some(7)]);
        assert_eq!(seconds.lags(10), [Some(0), Some(10), Some(10)]);
    }

    #[test]
    fn an_answer_is_good_for_as_long_as_the_next_may_take() {
        let mut seconds = Seconds::new();
        seconds.ask(0, [Some(7), Some(7), Some(7)]);
        assert_eq!(seconds.lags(2), [Some(0); 3]);
        assert_eq!(seconds.lags(3), [None; 3]);
    }

    #[test]
    fn a_server_that_was_put_back_is_behind_again_and_no_measure_for_others() {
        let mut seconds = Seconds::new();
        seconds.ask(0, [Some(9), Some(9), Some(7)]);
        seconds.ask(1, [Some(5), Some(5), Some(7)]);
        assert_eq!(seconds.lags(1)[OTHER], Some(0));
        assert!(seconds.lags(1)[PRIMARY] > Some(KEPT.as_secs()), "{:?}", seconds.lags(1));
    }

    #[test]
    fn a_primary_over_which_another_was_promoted_is_no_measure_however_long_its_log_is() {
        let mut positions = Positions::new(3);
        let now = Instant::now();
        let mut ask = |answers: [(Position, Option<u32>); 3]| {
            for (server, (position, timeline)) in answers.into_iter().enumerate() {
                positions.measured(server, now, Measured { position, timeline });
            }
            [PRIMARY, STANDBY, OTHER].map(|server| positions.standing(server, now))
        };
        let level = Standing::Behind(Duration::ZERO);
        assert_eq!(ask([(7, Some(1)), (7, None), (7, None)]), [level; 3]);
        assert_eq!(
            ask([(99, Some(1)), (8, Some(2)), (8, None)]),
            [Standing::Superseded, level, level]
        );
    }

    #[test]
    fn an_hour_is_kept_and_no_more() {
        let mut seconds = Seconds::new();
        for second in 0..5_000 {
            seconds.ask(second, [Some(7 + second), Some(7 + second), Some(7)]);
        }
        let lag = seconds.lags(4_999)[OTHER].unwrap();
        assert!((3_600..=3_601).contains(&lag), "{lag}");
        assert!(seconds.0.0[PRIMARY].reached.len() < 3_603);
    }
}
