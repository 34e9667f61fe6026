//! One callout for all requests that ask the same question at the same time.
//!
//! Whoever asks first holds the [`Lead`] and sends the callout. The others hold the [`Question`] and look at it on
//! ticks: it is answered, or whoever asked has gone and one of them takes the lead. So a client that hangs up takes
//! nothing from the others.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::{Rc, Weak};
use std::time::SystemTime;

use crate::hash::{self, Key, Map};

/// The questions that wait for an answer, each with the key that equal ones share; and room for the requests that wait
/// for another's callout.
#[derive(Debug)]
pub struct Open<V> {
    questions: RefCell<Map<Weak<Question<V>>>>,
    /// The bytes that those requests take.
    waiting: Cell<usize>,
}

/// The most bytes that they may take. Envoy's circuit breakers do not count those who wait, and the VM has a GiB
/// (docs/contract.md#waiting).
pub const MOST_WAITING: usize = 32 * 1024 * 1024;

/// A question that several requests may ask.
pub struct Question<V> {
    key: Key,
    state: Cell<State<V>>,
    open: Rc<Open<V>>,
}

/// The place of a request that waits for another's callout.
#[derive(Debug)]
pub struct Seat<V> {
    question: Rc<Question<V>>,
    bytes: usize,
}

#[derive(Default)]
enum State<V> {
    /// A callout is on its way.
    Asked,
    /// Whoever asked has gone.
    #[default]
    Orphaned,
    Answered(V),
}

/// What a request is to do about its question.
#[derive(Debug)]
pub enum Part<V> {
    /// Send the callout.
    Lead(Lead<V>),
    /// Wait: another has sent it.
    Follow(Rc<Seat<V>>),
    /// Do not wait: too many do.
    Full,
    /// Take this answer.
    Answered(V),
}

/// The part of the request that sends the callout. If it is dropped before it has an answer, the question is
/// open to the others.
#[derive(Debug)]
pub struct Lead<V>(Rc<Question<V>>);

/// Joins those that ask the question with this key. A request takes `bytes` while it waits.
pub fn join<V: Clone>(open: &Rc<Open<V>>, key: &[u8], bytes: usize, now: SystemTime) -> Part<V> {
    let asked = open.questions.try_borrow().ok();
    if let Some(question) = asked.and_then(|questions| questions.get(key)?.upgrade()) {
        return Question::look(&question, true, || match Seat::take(&question, bytes) {
            Some(seat) => Part::Follow(Rc::new(seat)),
            None => Part::Full,
        });
    }
    let key = Key::from(key);
    let state = Cell::new(State::Asked);
    let question = Rc::new(Question { key: Rc::clone(&key), state, open: Rc::clone(open) });
    if let Ok(mut questions) = open.questions.try_borrow_mut() {
        hash::insert(&mut questions, key, Rc::downgrade(&question), now);
    }
    Part::Lead(Lead(question))
}

impl<V> Default for Open<V> {
    fn default() -> Open<V> {
        Open { questions: RefCell::default(), waiting: Cell::new(0) }
    }
}

impl<V> Open<V> {
    /// How many questions are open.
    pub fn questions(&self) -> usize {
        self.questions.try_borrow().map_or(0, |questions| questions.len())
    }
}

impl<V> fmt::Debug for Question<V> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("Question")
    }
}

impl<V: Clone> Question<V> {
    /// What a request is to do now; as `waits` says while another asks, or is to.
    fn look(question: &Rc<Self>, may_lead: bool, waits: impl FnOnce() -> Part<V>) -> Part<V> {
        match question.state.take() {
            State::Asked => {
                question.state.set(State::Asked);
                waits()
            }
            State::Orphaned if !may_lead => waits(),
            State::Orphaned => {
                question.state.set(State::Asked);
                Part::Lead(Lead(Rc::clone(question)))
            }
            State::Answered(answer) => {
                question.state.set(State::Answered(answer.clone()));
                Part::Answered(answer)
            }
        }
    }
}

impl<V: Clone> Seat<V> {
    /// What the request is to do now. If it may not lead, another that waits may.
    pub fn look(self: Rc<Self>, may_lead: bool) -> Part<V> {
        let question = Rc::clone(&self.question);
        Question::look(&question, may_lead, || Part::Follow(self))
    }
}

impl<V> Seat<V> {
    /// `None`: there is no room.
    fn take(question: &Rc<Question<V>>, bytes: usize) -> Option<Seat<V>> {
        let waiting = &question.open.waiting;
        let all = waiting.get().checked_add(bytes).filter(|all| *all <= MOST_WAITING)?;
        waiting.set(all);
        Some(Seat { question: Rc::clone(question), bytes })
    }

    /// The key of the question.
    pub fn key(&self) -> &[u8] {
        &self.question.key
    }

    /// Whether another asks, and has no answer yet.
    pub fn waits(&self) -> bool {
        let state = self.question.state.take();
        let waits = matches!(state, State::Asked);
        self.question.state.set(state);
        waits
    }
}

impl<V> Drop for Seat<V> {
    fn drop(&mut self) {
        let waiting = &self.question.open.waiting;
        waiting.set(waiting.get().saturating_sub(self.bytes));
    }
}

impl<V> Question<V> {
    /// Who asks from now on asks anew.
    fn close(&self) {
        if let Ok(mut questions) = self.open.questions.try_borrow_mut() {
            questions.remove(&self.key);
        }
    }
}

impl<V> Lead<V> {
    /// The key of the question.
    pub fn key(&self) -> &[u8] {
        &self.0.key
    }

    /// Gives all who wait this answer.
    pub fn answer(&self, answer: V) {
        self.0.close();
        self.0.state.set(State::Answered(answer));
    }
}

impl<V> Drop for Lead<V> {
    fn drop(&mut self) {
        let state = self.0.state.take();
        if let State::Answered(_) = state {
            self.0.state.set(state);
        }
    }
}

impl<V> Drop for Question<V> {
    fn drop(&mut self) {
        // An answered one is closed, and another may be open under its key.
        if !matches!(self.state.take(), State::Answered(_)) {
            self.close();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Asked = Rc<Open<&'static str>>;

    fn join(open: &Asked, key: u8) -> Part<&'static str> {
        super::join(open, &[key], MOST_WAITING / 4, SystemTime::UNIX_EPOCH)
    }

    fn lead(part: Part<&'static str>) -> Lead<&'static str> {
        match part {
            Part::Lead(lead) => lead,
            part => panic!("{part:?}"),
        }
    }

    fn follow(part: Part<&'static str>) -> Rc<Seat<&'static str>> {
        match part {
            Part::Follow(question) => question,
            part => panic!("{part:?}"),
        }
    }

    #[test]
    fn one_asks_and_all_who_wait_are_answered() {
        let open = Asked::default();
        let first = lead(join(&open, 1));
        let waiting: Vec<_> = (0..3).map(|_| follow(join(&open, 1))).collect();
        lead(join(&open, 2));
        first.answer("yes");
        let later = lead(join(&open, 1));
        drop(first);
        for question in waiting {
            assert!(matches!(question.look(true), Part::Answered("yes")));
        }
        follow(join(&open, 1));
        drop(later);
        assert!(open.questions() == 0);
    }

    #[test]
    fn one_who_waits_takes_the_lead_of_one_who_has_gone() {
        let open = Asked::default();
        let first = lead(join(&open, 1));
        let [second, third, fourth] = [(); 3].map(|()| follow(join(&open, 1)));
        drop(first);
        let promoted = lead(second.look(true));
        let third = follow(third.look(true));
        drop(promoted);
        // A newcomer may be the next.
        let newcomer = lead(join(&open, 1));
        let third = follow(third.look(true));
        newcomer.answer("no");
        assert!(matches!(third.look(true), Part::Answered("no")));
        drop(newcomer);
        assert!(matches!(fourth.look(true), Part::Answered("no")));
        assert!(open.questions() == 0);
    }

    #[test]
    fn a_question_that_all_have_left_is_forgotten() {
        let open = Asked::default();
        let first = lead(join(&open, 1));
        let second = follow(join(&open, 1));
        drop(first);
        assert_eq!(open.questions(), 1);
        drop(second);
        assert!(open.questions() == 0);
    }

    #[test]
    fn there_is_room_for_so_many_who_wait() {
        let open = Asked::default();
        let first = lead(join(&open, 1));
        let waiting = [(); 4].map(|()| follow(join(&open, 1)));
        assert!(matches!(join(&open, 1), Part::Full));
        let other = lead(join(&open, 2));
        assert!(matches!(join(&open, 2), Part::Full), "all questions share it");
        drop(first);
        let [a, b, c, d] = waiting;
        let a = follow(a.look(false));
        let promoted = lead(a.look(true));
        follow(join(&open, 2));
        promoted.answer("yes");
        assert!([b, c, d].into_iter().all(|seat| matches!(seat.look(true), Part::Answered("yes"))));
        drop(other);
        assert_eq!((open.questions(), open.waiting.get()), (0, 0));
    }
}
