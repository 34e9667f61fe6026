//! Every experiment in its quick form, one after the other: they measure, so they want the
//! machine for themselves.

#![cfg(test)]

use reliability::{Scale, report};

#[test]
fn the_filter_bears_what_production_does() {
    report::run(Scale::Quick, &[]).unwrap();
}
