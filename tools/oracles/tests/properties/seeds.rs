//! The seeds of the fuzz targets, and that each target has some.

use std::fs;
use std::path::Path;

use oracles::filters::FILTERS;

#[test]
fn every_seed_holds() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    for (name, target) in oracles::target::ALL {
        let seeds: Vec<_> = fs::read_dir(fuzz.join("seeds").join(name)).unwrap().collect();
        assert!(!seeds.is_empty(), "{name} has no seeds");
        for seed in seeds {
            let path = seed.unwrap().path();
            println!("{}", path.display());
            target(&fs::read(path).unwrap());
        }
        assert!(fuzz.join(format!("src/bin/{name}.rs")).is_file(), "{name} has no target");
    }
}

#[test]
fn the_dictionary_of_queries_has_every_filter() {
    let words = include_str!("../../fuzz/dictionaries/query");
    for filter in &FILTERS {
        let (name, word) = (filter.name, format!("\"{}=\"", filter.name));
        assert!(
            words.contains(&word),
            "tools/oracles/fuzz/dictionaries/query lacks {name}: {word}"
        );
    }
}
