//! Every page is what its template makes of the results that are kept: none is edited by hand, and no template
//! changed without its page.

#![cfg(test)]

use lab::pages::{CHARTS, PAGES, chart, page};
use testkit::workspace;

#[test]
fn pages_are_made_of_results() {
    for name in PAGES {
        let path = workspace::root().join("docs").join(format!("{name}.md"));
        let written = std::fs::read_to_string(path).unwrap();
        let made = page(name).unwrap();
        let differs = made.lines().zip(written.lines()).find(|(made, written)| made != written);
        assert_eq!(differs, None, "docs/{name}.md: `cargo xtask lab --render` writes it");
        assert_eq!(made.len(), written.len(), "docs/{name}.md");
    }
}

#[test]
fn charts_are_drawn_from_results() {
    for (file, experiment, draw) in CHARTS {
        let kept = std::fs::read_to_string(workspace::root().join("docs").join(file)).unwrap();
        let drawn = chart((file, experiment, draw)).unwrap();
        assert!(drawn == kept, "docs/{file}: `cargo xtask lab --render` draws it");
    }
}
