//! Lists of media ranges.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::mutate::mutated;

const PIECES: &[&str] = &[
    ",", ";", "=", "/", "*", "\"", "\\", " ", "\t", ";q=0", ";q=1.0001", ";q=2", ";Q=.5", "*;q=.2",
    "q=", ";charset=utf-8", "application", "json", "*/*", "+json", "0", ".", "\u{1}", "é", "x",
    "'", "`", "|",
];

const RANGES: &[&str] = &[
    "application/json", "Application/JSON", "application/*", "*/*", "text/html",
    "application/json-seq", "application/vnd.api+json", "*/json", "*", "garbage", "",
];

const PARAMETERS: &[&str] = &[
    "q=0", "q=0.", "q=0.0", "q=0.000", "q=0.001", "q=0.5", "q=1", "q=1.", "q=1.000", "q=1.001",
    "q=1.0000", "q=0.0001", "q=.2", "q=.0", "q=.", "q=.0001", "Q=0", "q=\"0\"", "q=", "q",
    "charset=utf-8", "Charset=\"UTF-8\"", "charset=\"u\\tf-8\"", "charset=latin1", "version=1",
    "a=\"b,c;d\"", "a=\"\\\"\"", "", " ",
];

fn element() -> impl Strategy<Value = String> {
    let parameter = (select(&[";", "; ", " ;", "\t;\t"][..]), select(PARAMETERS));
    (select(RANGES), vec(parameter, 0..4)).prop_map(|(range, parameters)| {
        let parameters = parameters.iter().map(|(semicolon, text)| format!("{semicolon}{text}"));
        parameters.fold(range.to_owned(), |element, parameter| element + &parameter)
    })
}

/// One field.
pub fn field() -> impl Strategy<Value = Vec<u8>> {
    let list = vec(element(), 0..4).prop_map(|elements| elements.join(", ").into_bytes());
    mutated(list, PIECES)
}

proptest! {
    #![proptest_config(crate::cases(6_000))]

    #[test]
    fn the_filter_judges_accept_as_the_rfc_does(fields in vec(field(), 0..3)) {
        let fields: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
        oracles::accept::check(&fields);
    }
}
