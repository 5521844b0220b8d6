//! What two samples of a few runs each say about a difference: the estimate of Hodges and Lehmann, and its exact
//! interval after Mann and Whitney. Nothing is assumed about how runs scatter.

/// The chance, on both sides together, that an interval misses the true difference.
const ALPHA: f64 = 0.05;

/// A difference, with an interval where there are enough runs for one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Shift {
    /// The median of all differences between a value of one sample and one of the other.
    pub(crate) estimate: f64,
    /// Holds the true difference at least 95 times in a hundred.
    pub(crate) interval: Option<(f64, f64)>,
    /// Whether every value of one sample lies on the same side of every value of the other.
    pub(crate) apart: bool,
}

/// By how much `b` lies above `a`; nothing where either is empty.
pub(crate) fn shift(a: &[f64], b: &[f64]) -> Option<Shift> {
    let mut differences: Vec<f64> = b.iter().flat_map(|b| a.iter().map(move |a| b - a)).collect();
    differences.sort_by(f64::total_cmp);
    let (first, last) = (*differences.first()?, *differences.last()?);
    let interval = margin(a.len(), b.len()).and_then(|margin| {
        let low = differences.get(margin)?;
        let high = differences.get(differences.len().checked_sub(margin + 1)?)?;
        Some((*low, *high))
    });
    Some(Shift { estimate: median_of_sorted(&differences)?, interval, apart: first > 0.0 || last < 0.0 })
}

/// The middle value; nothing where there is none.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_owned();
    sorted.sort_by(f64::total_cmp);
    median_of_sorted(&sorted)
}

fn median_of_sorted(sorted: &[f64]) -> Option<f64> {
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    if sorted.len() % 2 == 1 { Some(upper) } else { Some(f64::midpoint(*sorted.get(middle - 1)?, upper)) }
}

/// How many of the smallest and of the largest differences an interval leaves out; nothing where even the interval that
/// leaves out none is wrong too often.
fn margin(a: usize, b: usize) -> Option<usize> {
    let ways = ways(a, b);
    let all: f64 = ways.iter().sum();
    let mut tail = 0.0;
    let fit = ways.iter().take_while(|ways| {
        tail += **ways / all;
        tail <= ALPHA / 2.0
    });
    fit.count().checked_sub(1)
}

/// In how many orders of `a` and `b` values each number of differences is negative: the coefficients of the Gaussian
/// binomial, the product of `(1 - x^(b+i)) / (1 - x^i)` for `i` from 1 to `a`.
fn ways(a: usize, b: usize) -> Vec<f64> {
    let mut ways = vec![0.0; a * b + 1];
    ways[0] = 1.0;
    for i in 1..=a {
        for at in (b + i..ways.len()).rev() {
            ways[at] -= ways[at - b - i];
        }
        for at in i..ways.len() {
            ways[at] += ways[at - i];
        }
    }
    ways
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_orders_are_counted_right() {
        assert_eq!(ways(2, 2), [1.0, 1.0, 2.0, 1.0, 1.0]);
        assert_eq!(ways(5, 5).iter().sum::<f64>(), 252.0, "10 choose 5");
    }

    #[test]
    fn intervals_are_those_of_the_tables() {
        // From tables of Mann and Whitney's U: the critical value for 5 and 5 is 2, for 10 and 10 it is 23.
        assert_eq!(margin(5, 5), Some(2));
        assert_eq!(margin(10, 10), Some(23));
        assert_eq!(margin(4, 4), Some(0));
        assert_eq!(margin(3, 3), None, "three runs against three prove nothing at 95 %");
    }

    #[test]
    fn a_shift_is_found_within_its_interval() {
        let a = [1.0, 2.0, 3.0, 4.0, 5.0];
        let b = a.map(|value| value + 10.0);
        let shift = shift(&a, &b).unwrap();
        assert_eq!(shift.estimate, 10.0);
        let (low, high) = shift.interval.unwrap();
        assert!(low < 10.0 && 10.0 < high && low > 6.0 && high < 14.0, "{low} to {high}");
        assert!(shift.apart);
    }

    #[test]
    fn the_same_sample_twice_is_noise() {
        let a = [1.0, 2.0, 3.0, 4.0, 5.0];
        let shift = shift(&a, &a).unwrap();
        let (low, high) = shift.interval.unwrap();
        assert!(low < 0.0 && high > 0.0 && !shift.apart);
    }

    #[test]
    fn the_middle_of_an_even_number_lies_between() {
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }
}
