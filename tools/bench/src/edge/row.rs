//! What a case showed, and what follows from it.

use super::bench::Contender;
use super::cases::Case;
use super::measure::{Measured, Round};
use crate::statistics::{least, median};

/// A case with so many header fields, measured.
#[derive(Clone, Debug)]
pub struct Row {
    /// The case.
    pub case: Case,
    /// The number of header fields.
    pub headers: usize,
    /// What it showed.
    pub measured: Measured,
}

/// One contender's cost as a multiple of another's.
#[derive(Clone, Copy, Debug)]
pub struct Ratio {
    /// The least of the one to the least of the other.
    pub least: f64,
    /// The median over the rounds of the one to the other in the same round.
    pub median: f64,
}

// === impl Row ===

impl Row {
    /// Its name in a table: the first two cells.
    pub fn name(&self) -> String {
        format!("{} | {}", self.case.what, self.headers)
    }

    /// Whether somebody was asked.
    pub fn has(&self, contender: &Contender) -> bool {
        self.measured.rounds.contains_key(contender)
    }

    /// A contender's rounds; none if it was not asked.
    pub fn rounds(&self, of: &Contender) -> &[Round] {
        self.measured.rounds.get(of).map_or(&[], Vec::as_slice)
    }

    /// Processor time per request in each round.
    pub fn cpu(&self, of: &Contender) -> Vec<f64> {
        self.rounds(of).iter().map(|round| round.cpu).collect()
    }

    /// What one costs as a multiple of another; NaN if one was not measured.
    pub fn ratio(&self, of: &Contender, to: &Contender) -> Ratio {
        let (of, to) = (self.cpu(of), self.cpu(to));
        let each: Vec<f64> = of.iter().zip(&to).map(|(of, to)| of / to).collect();
        Ratio { least: least(&of) / least(&to), median: median(&each) }
    }
}
