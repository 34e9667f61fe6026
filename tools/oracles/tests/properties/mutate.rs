//! Inputs that are nearly valid: valid ones with a few changes.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

#[derive(Clone, Debug)]
enum Change {
    Insert(Vec<u8>),
    Replace(Vec<u8>),
    Remove(usize),
    Repeat(usize),
}

/// `base` with up to four changes; what is put in are `pieces` and single bytes.
pub fn mutated(
    base: impl Strategy<Value = Vec<u8>>,
    pieces: &'static [&'static str],
) -> impl Strategy<Value = Vec<u8>> {
    let piece = || {
        prop_oneof![
            4 => select(pieces).prop_map(|piece| piece.as_bytes().to_vec()),
            1 => any::<u8>().prop_map(|byte| vec![byte]),
        ]
    };
    let change = prop_oneof![
        3 => piece().prop_map(Change::Insert),
        3 => piece().prop_map(Change::Replace),
        2 => (1..4_usize).prop_map(Change::Remove),
        1 => (1..20_usize).prop_map(Change::Repeat),
    ];
    (base, vec((any::<Index>(), change), 0..5)).prop_map(|(mut bytes, changes)| {
        for (place, change) in changes {
            let start = place.index(bytes.len() + 1);
            let end = |length: usize| (start + length).min(bytes.len());
            match change {
                Change::Insert(piece) => drop(bytes.splice(start..start, piece)),
                Change::Replace(piece) => drop(bytes.splice(start..end(piece.len()), piece)),
                Change::Remove(length) => drop(bytes.drain(start..end(length))),
                Change::Repeat(length) => {
                    let copy = bytes[start..end(length)].to_vec();
                    bytes.splice(start..start, copy);
                }
            }
        }
        bytes
    })
}

/// Some of `pieces` in a row.
pub fn soup(pieces: &'static [&'static str], most: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(select(pieces), 0..most).prop_map(|pieces| pieces.concat().into_bytes())
}

/// One of `texts`.
pub fn one_of(texts: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    select(texts).prop_map(|text| text.as_bytes().to_vec())
}
