//! Properties of `unmemorize::proportion`: the ends of an interval have the tails that define them.

#![allow(clippy::float_cmp)] // 0 and 1 are exact

use proptest::prelude::*;
use unmemorize::parallel::Threads;
use unmemorize::proportion::clopper_pearson;

/// P[X >= k] of n trials, term by term.
fn at_least(k: i64, n: i64, p: f64) -> f64 {
    let ln_choose = |k: i64| (1..=k).map(|j| ((n - j + 1) as f64 / j as f64).ln()).sum::<f64>();
    (k..=n).map(|j| (ln_choose(j) + j as f64 * p.ln() + (n - j) as f64 * (-p).ln_1p()).exp()).sum()
}

proptest! {
    #[test]
    fn an_interval_leaves_its_tails((n, k) in (1_i64..300).prop_flat_map(|n| (Just(n), 0..=n)), level in 0.001..0.9999_f64) {
        let tail = (1.0 - level) / 2.0;
        let (low, high) = clopper_pearson(&[k], usize::try_from(n).unwrap(), level, &Threads::one()).unwrap();
        let near = |found: f64| (found / tail - 1.0).abs() < 1e-9;
        let (below, above) = (at_least(k, n, low[0]), at_least(n - k, n, 1.0 - high[0]));
        prop_assert!((k == 0 && low[0] == 0.0) || near(below));
        prop_assert!((k == n && high[0] == 1.0) || near(above));
        prop_assert!(low[0] <= k as f64 / n as f64 && k as f64 / n as f64 <= high[0]);
    }
}

#[test]
fn the_bits_do_not_depend_on_the_number_of_threads() {
    let all: Vec<i64> = (0..=1000).collect();
    let one = clopper_pearson(&all, 1000, 0.95, &Threads::one()).unwrap();
    for count in 2..=8 {
        assert_eq!(clopper_pearson(&all, 1000, 0.95, &Threads::new(count).unwrap()).unwrap(), one, "{count} threads");
    }
    assert!(one.0.is_sorted() && one.1.is_sorted());
}

#[test]
fn what_is_wrong_is_named() {
    let error = |k, n| clopper_pearson(&[k], n, 0.95, &Threads::one()).unwrap_err().to_string();
    assert_eq!(error(3, 2), "successes: expected 0 to n with n >= 1, got 3 of 2");
    assert_eq!(error(-1, 2), "successes: expected 0 to n with n >= 1, got -1 of 2");
    assert_eq!(error(0, 0), "successes: expected 0 to n with n >= 1, got 0 of 0");
    assert_eq!(error(0, usize::MAX), format!("n: not enough memory for {}", usize::MAX));
}
