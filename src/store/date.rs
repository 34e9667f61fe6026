//! The three forms of a date in HTTP (RFC 9110 §5.6.7).

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

const LONG_DAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Whether `text` is a date. It is passed on, never computed with, so nobody
/// asks whether its day was a Tuesday.
pub fn is_http_date(text: &str) -> bool {
    [fixdate, rfc850, asctime].iter().any(|form| form(text).is_some_and(str::is_empty))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`
fn fixdate(text: &str) -> Option<&str> {
    let rest = one_of(text, &DAYS)?.strip_prefix(", ")?;
    let rest = day(rest)?.strip_prefix(' ')?;
    let rest = one_of(rest, &MONTHS)?.strip_prefix(' ')?;
    time(year(rest)?.strip_prefix(' ')?)?.strip_prefix(" GMT")
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`
fn rfc850(text: &str) -> Option<&str> {
    let rest = one_of(text, &LONG_DAYS)?.strip_prefix(", ")?;
    let rest = day(rest)?.strip_prefix('-')?;
    let rest = one_of(rest, &MONTHS)?.strip_prefix('-')?;
    let rest = number(rest, "00", "99")?.strip_prefix(' ')?;
    time(rest)?.strip_prefix(" GMT")
}

/// `Sun Nov  6 08:49:37 1994`
fn asctime(text: &str) -> Option<&str> {
    let rest = one_of(text, &DAYS)?.strip_prefix(' ')?;
    let rest = one_of(rest, &MONTHS)?.strip_prefix(' ')?;
    let rest = day(rest).or_else(|| number(rest.strip_prefix(' ')?, "1", "9"))?;
    year(time(rest.strip_prefix(' ')?)?.strip_prefix(' ')?)
}

fn day(text: &str) -> Option<&str> {
    number(text, "01", "31")
}

fn year(text: &str) -> Option<&str> {
    number(text, "0000", "9999")
}

/// The RFC has leap seconds.
fn time(text: &str) -> Option<&str> {
    let rest = number(text, "00", "23")?.strip_prefix(':')?;
    let rest = number(rest, "00", "59")?.strip_prefix(':')?;
    number(rest, "00", "60")
}

/// What follows one of these words.
fn one_of<'t>(text: &'t str, words: &[&str]) -> Option<&'t str> {
    words.iter().find_map(|word| text.strip_prefix(word))
}

/// What follows a number from `first` to `last`, which have as many digits as it has.
fn number<'t>(text: &'t str, first: &str, last: &str) -> Option<&'t str> {
    let (number, rest) = text.split_at_checked(first.len())?;
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    (digits && (first..=last).contains(&number)).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_are_dates_and_nothing_else_is() {
        for good in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sun, 31 Dec 2028 23:59:60 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Wed Nov 16 08:49:37 1994",
        ] {
            assert!(is_http_date(good), "{good}");
            assert!(!is_http_date(&format!("{good} ")) && !is_http_date(&good[1..]), "{good}");
        }
        for bad in [
            "",
            "Sun",
            "sun, 06 Nov 1994 08:49:37 GMT",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 32 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 94 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06-Nov-94 08:49:37 GMT",
            "Sun Nov 06 8:49:37 1994",
            "Sun Nov  é 08:49:37 1994",
        ] {
            assert!(!is_http_date(bad), "{bad}");
        }
    }
}
