use crate::referee::Count;

fn upper(count: u64, of: u64) -> f64 {
    Count::new(count, of).upper_95.unwrap()
}

/// `P(X <= count)` for a binomial `X`, summed term by term.
fn binomial_cdf(count: u64, of: u64, rate: f64) -> f64 {
    let mut term = of as f64 * (-rate).ln_1p();
    let mut sum = term.exp();
    for successes in 1..=count {
        term += ((of - successes + 1) as f64 / successes as f64 * rate / (1.0 - rate)).ln();
        sum += term.exp();
    }
    sum
}

#[test]
fn nothing_seen_is_the_rule_of_three() {
    assert_eq!(upper(0, 10_000), 0.0003);
    assert_eq!(upper(0, 2), 1.0, "a rate is never over 1");
}

#[test]
fn nothing_looked_at_says_nothing() {
    assert_eq!(Count::new(0, 0), Count { count: 0, of: 0, rate: None, upper_95: None });
}

#[test]
fn at_the_bound_so_few_are_seen_once_in_twenty() {
    for (count, of) in [
        (1, 2),
        (1, 10),
        (5, 100),
        (99, 100),
        (7, 60_000),
        (1_000, 60_000),
        (30_000, 60_000),
        (10, 10_000_000),
        (100_000, 1_000_000),
    ] {
        let bound = upper(count, of);
        let tail = binomial_cdf(count, of, bound);
        assert!((tail - 0.05).abs() < 1e-4, "{count} of {of}: bound {bound}, tail {tail}");
    }
}

#[test]
fn all_seen_bounds_nothing() {
    assert_eq!(upper(7, 7), 1.0);
    assert_eq!(Count::new(7, 7).rate, Some(1.0));
}
