//! Few numbers, and what to say of them.

/// The least of them; NaN if there is none.
pub fn least(numbers: &[f64]) -> f64 {
    numbers.iter().copied().fold(f64::NAN, f64::min)
}

/// The one in the middle; NaN if there is none.
pub fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = sorted.get(middle).copied().unwrap_or(f64::NAN);
    match sorted.len() % 2 {
        0 => (sorted.get(middle.wrapping_sub(1)).copied().unwrap_or(f64::NAN) + upper) / 2.0,
        _ => upper,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_even_number_the_median_is_between_two() {
        assert_eq!(median(&[4.0, 1.0, 3.0]), 3.0);
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), 2.5);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn the_least_is_one_of_them() {
        assert_eq!(least(&[4.0, 1.0, 3.0]), 1.0);
    }
}
