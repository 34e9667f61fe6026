//! Which counts were right, and how long there was none.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::asking::{Answer, Outcome};
use super::writer::Write;
use super::{MAX_LAG, ROUND};
use crate::{Options, millis};

/// How late a measurement may be on a machine whose cores all take part in the load.
const LATE: Duration = Duration::from_millis(250);

/// The same on a busy machine: as late as one may be at all and be used.
const LATE_WHEN_BUSY: Duration = Duration::from_secs(2);

/// How long a row may be acknowledged and not be counted yet.
pub fn allowed(options: &Options) -> Duration {
    MAX_LAG + ROUND + options.pick(LATE_WHEN_BUSY, LATE)
}

/// A line of the page.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Figures {
    pub fault: &'static str,
    pub asked: usize,
    /// Answers that were no count, and the documented ones by their status.
    pub failed: usize,
    pub statuses: BTreeMap<u16, usize>,
    /// Counts that are neither the number of rows at some time within what is allowed, nor with the row being written.
    pub wrong: usize,
    pub undocumented: usize,
    /// Between two counts that are right.
    pub longest_gap: f64,
    /// The longest that a client waited for a right count.
    pub slowest: f64,
    /// How long the first row that a count lacked had been acknowledged, at most.
    pub oldest: f64,
    /// Rows that were acknowledged meanwhile.
    pub written: usize,
    /// Wrong counts of a store that takes servers of any age, asked beside the others: none would mean that nobody looks.
    pub wrong_of_lax: Option<usize>,
    pub failures: usize,
    /// The first of what was wrong.
    #[serde(skip)]
    pub examples: Vec<String>,
}

/// Judges answers by what was written until the last of them had come.
pub fn judge(history: &[Write], mut answers: Vec<Answer>, allowed: Duration) -> Figures {
    answers.sort_by_key(|answer| answer.came);
    let mut figures = Figures { asked: answers.len(), ..Figures::default() };
    let [mut oldest, mut slowest, mut longest_gap] = [Duration::ZERO; 3];
    let mut last_good = None;
    for Answer { sent, came, outcome } in &answers {
        let count = match outcome {
            Outcome::Count(count) => *count,
            Outcome::Fault(status) => {
                figures.failed += 1;
                *figures.statuses.entry(*status).or_default() += 1;
                continue;
            }
            Outcome::Undocumented(what) => {
                figures.failed += 1;
                figures.undocumented += 1;
                figures.examples.push(what.clone());
                continue;
            }
        };
        let most = history.partition_point(|write| write.begun <= *came);
        let age = age(history, count, *sent);
        if count > most || age > allowed {
            figures.wrong += 1;
            figures.examples.push(format!("{count} of {most}, {age:?} old"));
            continue;
        }
        oldest = oldest.max(age);
        slowest = slowest.max(*came - *sent);
        longest_gap = longest_gap.max(last_good.map_or(Duration::ZERO, |last| *came - last));
        last_good = Some(*came);
    }
    // The end of the load is no count, but a time until there is one.
    if let Some(last) = answers.last() {
        longest_gap = longest_gap.max(last.came - last_good.unwrap_or(answers[0].sent));
    }
    figures.examples.truncate(3);
    let [longest_gap, slowest, oldest] = [longest_gap, slowest, oldest].map(millis);
    Figures { longest_gap, slowest, oldest, ..figures }
}

/// How long the first row that this count lacks had been acknowledged when the question was sent.
fn age(history: &[Write], count: usize, sent: Instant) -> Duration {
    let first = history.get(count).and_then(|write| write.acknowledged);
    first.map_or(Duration::ZERO, |first| sent.saturating_duration_since(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_count_is_as_old_as_the_first_row_it_lacks() {
        let start = Instant::now();
        let at = |seconds: u32| start + SECOND * seconds;
        // A row each second, acknowledged half a second later; the eleventh never is.
        let mut history: Vec<_> = (0..11)
            .map(|n| Write { begun: at(n), acknowledged: Some(at(n) + SECOND / 2) })
            .collect();
        history[10].acknowledged = None;
        let judge_one = |sent: u32, came: u32, count: usize| {
            let answer = Answer { sent: at(sent), came: at(came), outcome: Outcome::Count(count) };
            judge(&history, vec![answer], SECOND * 3)
        };
        for (sent, came, count, wrong) in [
            // All, with and without what is being written, and what may be missing.
            (5, 5, 6, 0),
            (5, 5, 5, 0),
            (5, 5, 2, 0),
            (5, 5, 1, 1),
            (5, 5, 7, 1),
            // While it was on its way, there was one more.
            (5, 6, 7, 0),
            (5, 6, 8, 1),
            // The last one may be there or not, for ever.
            (100, 100, 11, 0),
            (100, 100, 10, 0),
            (100, 100, 9, 1),
            (100, 100, 12, 1),
        ] {
            assert_eq!(judge_one(sent, came, count).wrong, wrong, "{sent} {came} {count}");
        }
        assert!((judge_one(5, 5, 2).oldest - 2500.0).abs() < f64::EPSILON);
    }

    #[test]
    fn what_is_no_right_count_is_a_gap() {
        let start = Instant::now();
        let answer = |seconds: u32, outcome| {
            let came = start + SECOND * seconds;
            Answer { sent: came, came, outcome }
        };
        let answers = vec![
            answer(9, Outcome::Fault(503)),
            answer(0, Outcome::Count(0)),
            answer(1, Outcome::Count(0)),
            answer(2, Outcome::Fault(503)),
            answer(3, Outcome::Count(1)),
            answer(4, Outcome::Undocumented("204".to_owned())),
            answer(5, Outcome::Count(0)),
        ];
        let figures = judge(&[], answers, SECOND);
        assert_eq!((figures.asked, figures.failed, figures.wrong), (7, 3, 1));
        assert_eq!((figures.undocumented, figures.statuses), (1, BTreeMap::from([(503, 2)])));
        assert!((figures.longest_gap - 4000.0).abs() < f64::EPSILON, "{}", figures.longest_gap);
        let none = judge(
            &[],
            vec![answer(0, Outcome::Fault(504)), answer(7, Outcome::Fault(504))],
            SECOND,
        );
        assert!((none.longest_gap - 7000.0).abs() < f64::EPSILON, "{none:?}");
    }
}
