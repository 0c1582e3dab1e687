//! Properties of `unmemorize::rank` and of the bootstrap: a statistic of counts is that of the repeated data.

use proptest::prelude::*;
use unmemorize::parallel::Threads;
use unmemorize::rank::{Kendall, Pearson, Spearman, average_ranks, permutation_p, spearman_columns};
use unmemorize::resample::{Bootstrap, Interval, Mean, Quantile, SplitMix64, Statistic, counts};

#[allow(clippy::float_cmp)] // all the same
fn pearson(x: &[f64], y: &[f64]) -> f64 {
    let n = x.len() as f64;
    let (mx, my) = (x.iter().sum::<f64>() / n, y.iter().sum::<f64>() / n);
    let sum = |a: &[f64], ma: f64, b: &[f64], mb: f64| a.iter().zip(b).map(|(a, b)| (a - ma) * (b - mb)).sum::<f64>();
    let constant = |a: &[f64]| a.iter().all(|v| *v == a[0]);
    if constant(x) || constant(y) {
        return f64::NAN;
    }
    sum(x, mx, y, my) / (sum(x, mx, x, mx) * sum(y, my, y, my)).sqrt()
}

#[allow(clippy::float_cmp)] // ties
fn ranks(x: &[f64]) -> Vec<f64> {
    let rank = |v: &f64| {
        let (below, equal) = (x.iter().filter(|w| *w < v).count(), x.iter().filter(|w| *w == v).count());
        below as f64 + (equal + 1) as f64 / 2.0
    };
    x.iter().map(rank).collect()
}

fn kendall(x: &[f64], y: &[f64]) -> f64 {
    let sign = |a: f64, b: f64| f64::from(i8::from(a > b) - i8::from(a < b));
    let (mut s, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for i in 0..x.len() {
        for j in 0..i {
            let (a, b) = (sign(x[i], x[j]), sign(y[i], y[j]));
            s += a * b;
            xx += a * a;
            yy += b * b;
        }
    }
    if xx > 0.0 && yy > 0.0 { s / f64::sqrt(xx * yy) } else { f64::NAN }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a place
fn quantile(x: &[f64], q: f64) -> f64 {
    let mut x = x.to_vec();
    x.sort_by(f64::total_cmp);
    let place = q * (x.len() - 1) as f64;
    let (low, high) = (x[place as usize], x[place.ceil() as usize]);
    low + (high - low) * place.fract()
}

fn repeat(x: &[f64], counts: &[u32]) -> Vec<f64> {
    x.iter().zip(counts).flat_map(|(&v, &c)| std::iter::repeat_n(v, c as usize)).collect()
}

fn close(a: f64, b: f64) -> bool {
    (a.is_nan() && b.is_nan()) || (a - b).abs() < 1e-9
}

fn of<S: Statistic>(statistic: &S, counts: &[u32]) -> f64 {
    statistic.of(counts, &mut S::Scratch::default(), &Threads::one())
}

/// Of integers: no sum is rounded.
#[allow(clippy::cast_possible_wrap)] // few
fn permutation_twin(x: &[i64], y: &[i64], permutations: usize, seed: u64) -> f64 {
    let sum = |x: &[i64]| x.iter().sum::<i64>();
    let strength =
        |y: &[i64]| (x.iter().zip(y).map(|(x, y)| x * y).sum::<i64>() * x.len() as i64 - sum(x) * sum(y)).abs();
    let strong = |p: &usize| {
        let (mut y, random) = (y.to_vec(), SplitMix64::new(seed, *p as u64));
        (0..y.len()).rev().for_each(|i| y.swap(i, random.below(i as u64, i + 1)));
        strength(&y)
    };
    let count = (0..permutations).filter(|p| strong(p) >= strength(y)).count();
    (1 + count) as f64 / (1 + permutations) as f64
}

fn pairs() -> impl Strategy<Value = (Vec<f64>, Vec<f64>)> {
    let value = || prop_oneof![(-3_i8..4).prop_map(f64::from), -100.0..100.0];
    prop::collection::vec((value(), value()), 2..40).prop_map(|pairs| pairs.into_iter().unzip())
}

proptest! {
    #[test]
    fn a_statistic_of_counts_is_that_of_the_repeated_data((x, y) in pairs(), seed: u64, b in 0_u64..100, q in 0.0..=1.0) {
        let one = &Threads::one();
        let drawn = counts(x.len(), seed, b);
        prop_assert_eq!(drawn.iter().sum::<u32>() as usize, x.len());
        let (rx, ry) = (repeat(&x, &drawn), repeat(&y, &drawn));
        prop_assert!(close(of(&Pearson::new(&x, &y, one).unwrap(), &drawn), pearson(&rx, &ry)));
        prop_assert!(close(of(&Spearman::new(&x, &y, one).unwrap(), &drawn), pearson(&ranks(&rx), &ranks(&ry))));
        prop_assert!(close(of(&Kendall::new(&x, &y, one).unwrap(), &drawn), kendall(&rx, &ry)));
        prop_assert!(close(of(&Mean::new(&x, one).unwrap(), &drawn), rx.iter().sum::<f64>() / rx.len() as f64));
        for q in [q, 0.0, 0.5, 1.0] {
            prop_assert!(close(of(&Quantile::new(&x, q, one).unwrap(), &drawn), quantile(&rx, q)));
        }
    }

    #[test]
    fn every_column_is_correlated_as_if_alone((x, y) in pairs(), columns in 1_usize..4, threads in 1_usize..4) {
        let one = &Threads::one();
        let bootstrap = Bootstrap { level: 0.9, resamples: 5, seed: 1 };
        let column = |c: usize| x.iter().enumerate().map(|(i, v)| v * (i % (c + 1)) as f64).collect::<Vec<_>>();
        let matrix: Vec<f64> = (0..x.len()).flat_map(|i| (0..columns).map(move |c| (i, c))).map(|(i, c)| column(c)[i]).collect();
        let found = spearman_columns(&matrix, columns, &y, &bootstrap, &Threads::new(threads).unwrap()).unwrap();
        let bits = |i: &Interval| [i.value, i.low, i.high].map(f64::to_bits);
        for (c, found) in found.iter().enumerate() {
            prop_assert_eq!(bits(found), bits(&bootstrap.of(&Spearman::new(&column(c), &y, one).unwrap(), one).unwrap()));
        }
    }

    #[test]
    #[allow(clippy::cast_possible_truncation, clippy::float_cmp)] // doubled ranks and small integers; the same numbers
    fn a_p_value_counts_the_permutations_as_strong(
        pairs in prop::collection::vec((-3_i64..4, -100_i64..100), 2..40),
        offset in -1_000_000_000_i64..1_000_000_000,
        permutations in 1_usize..50,
        seed: u64,
        threads in 1_usize..9,
    ) {
        let (x, y): (Vec<i64>, Vec<i64>) = pairs.into_iter().unzip();
        let float = |x: &[i64], offset: i64| x.iter().map(|&v| (v + offset) as f64).collect::<Vec<_>>();
        let (a, b) = (float(&x, offset), float(&y, 0));
        let constant = [&a, &b].iter().any(|v| v.iter().all(|w| *w == v[0]));
        let threads = &Threads::new(threads).unwrap();
        let of = |ranks| permutation_p(&a, &b, ranks, permutations, seed, threads).unwrap();
        if constant {
            prop_assert!(of(true).is_nan() && of(false).is_nan());
        } else {
            let doubled = |x: &[f64]| ranks(x).iter().map(|r| (2.0 * r) as i64).collect::<Vec<_>>();
            prop_assert_eq!(of(true), permutation_twin(&doubled(&a), &doubled(&b), permutations, seed));
            prop_assert_eq!(of(false), permutation_twin(&x, &y, permutations, seed));
        }
    }

    #[test]
    fn average_ranks_are_counted((x, _) in pairs(), threads in 1_usize..4) {
        prop_assert_eq!(average_ranks(&x, &Threads::new(threads).unwrap()).unwrap(), ranks(&x));
    }

    #[test]
    #[allow(clippy::cast_possible_truncation)] // on purpose
    fn floats_of_half_the_size_are_their_exact_doubles((x, y) in pairs()) {
        let one = &Threads::one();
        let half: Vec<f32> = x.iter().map(|&v| v as f32).collect();
        let exact: Vec<f64> = half.iter().map(|&v| f64::from(v)).collect();
        let ones = vec![1; x.len()];
        let bits = |value: f64| value.to_bits();
        prop_assert_eq!(average_ranks(&half, one).unwrap(), average_ranks(&exact, one).unwrap());
        for (half, exact) in [
            (of(&Pearson::new(&half, &y, one).unwrap(), &ones), of(&Pearson::new(&exact, &y, one).unwrap(), &ones)),
            (of(&Spearman::new(&y, &half, one).unwrap(), &ones), of(&Spearman::new(&y, &exact, one).unwrap(), &ones)),
            (of(&Kendall::new(&half, &half, one).unwrap(), &ones), of(&Kendall::new(&exact, &exact, one).unwrap(), &ones)),
            (of(&Mean::new(&half, one).unwrap(), &ones), of(&Mean::new(&exact, one).unwrap(), &ones)),
        ] {
            prop_assert_eq!(bits(half), bits(exact));
        }
    }

    #[test]
    fn intervals_are_in_order((x, y) in pairs(), seed: u64, level in 0.01..0.99) {
        let one = &Threads::one();
        let Interval { low, high, .. } = Bootstrap { level, resamples: 20, seed }.of(&Spearman::new(&x, &y, one).unwrap(), one).unwrap();
        prop_assert!(low.is_nan() && high.is_nan() || (-1.0 <= low && low <= high && high <= 1.0));
    }
}

fn waves(n: u32) -> (Vec<f64>, Vec<f64>) {
    let x: Vec<f64> = (0..n).map(|i| (f64::from(i * i % 1009) * 0.7).sin()).collect();
    let y = x.iter().zip(0_u32..).map(|(x, i)| x + (f64::from(i) * 1.3).cos()).collect();
    (x, y)
}

#[test]
fn the_bits_do_not_depend_on_the_number_of_threads() {
    let (x, y) = waves(5000);
    let bootstrap = Bootstrap { level: 0.95, resamples: 100, seed: 3 };
    let bits = |i: Interval| [i.value, i.low, i.high].map(f64::to_bits);
    let all = |threads: &Threads| {
        [
            bits(bootstrap.of(&Pearson::new(&x, &y, threads).unwrap(), threads).unwrap()),
            bits(bootstrap.of(&Spearman::new(&x, &y, threads).unwrap(), threads).unwrap()),
            bits(bootstrap.of(&Kendall::new(&x, &y, threads).unwrap(), threads).unwrap()),
            bits(bootstrap.of(&Mean::new(&x, threads).unwrap(), threads).unwrap()),
            bits(bootstrap.of(&Quantile::new(&x, 0.5, threads).unwrap(), threads).unwrap()),
        ]
    };
    let one = all(&Threads::one());
    for count in 2..=8 {
        assert_eq!(all(&Threads::new(count).unwrap()), one, "{count} threads");
    }
}

#[test]
fn without_resamples_there_is_no_interval() {
    let (x, y) = waves(10);
    let one = &Threads::one();
    let found = Bootstrap { level: 0.9, resamples: 0, seed: 0 }.of(&Pearson::new(&x, &y, one).unwrap(), one).unwrap();
    assert!(found.value.is_finite() && found.low.is_nan() && found.high.is_nan());
}

#[test]
fn a_million_pairs_in_one_order_correlate_perfectly() {
    let x: Vec<f64> = (0..1_000_000).map(f64::from).collect();
    let one = &Threads::one();
    let ones = vec![1; x.len()];
    assert!((of(&Spearman::new(&x, &x, one).unwrap(), &ones) - 1.0).abs() < 1e-12);
    assert!((of(&Kendall::new(&x, &x, one).unwrap(), &ones) - 1.0).abs() < 1e-12);
}

#[test]
fn what_is_wrong_is_named() {
    let one = &Threads::one();
    let error = |x: &[f64], y: &[f64]| Pearson::new(x, y, one).unwrap_err().to_string();
    assert_eq!(error(&[], &[]), "x, y: a correlation needs 2 to 4294967295 pairs, got 0");
    assert_eq!(error(&[1.0, 2.0], &[1.0]), "y: expected 2 values to match x, got 1");
    assert_eq!(error(&[1.0, 2.0], &[1.0, f64::INFINITY]), "y: the value at position 1 is infinite");
    let nan = "x: 1 of 2 values are NaN, the first at position 0; leave them out first";
    assert_eq!(error(&[f64::NAN, 2.0], &[1.0, 2.0]), nan);
    assert_eq!(Spearman::new(&[f64::NAN, 2.0], &[1.0, 2.0], one).unwrap_err().to_string(), nan);
    assert!(Quantile::new(&[f64::NAN], 0.5, one).is_err() && Mean::new(&[f64::NAN], one).is_err());
}

#[test]
fn one_value_of_many_pairs_can_be_interrupted() {
    let (x, y) = waves(100);
    let interrupt = || Err("enough".into());
    for count in [1, 3] {
        let found = Threads::interruptible(count, interrupt, |threads| {
            let kendall = Kendall::new(&x, &y, threads)?;
            std::thread::sleep(std::time::Duration::from_millis(100)); // now it is time to ask
            Bootstrap { level: 0.9, resamples: 0, seed: 0 }.of(&kendall, threads)
        });
        assert_eq!(found.unwrap_err().to_string(), "interrupted: enough", "{count} threads");
    }
}

#[test]
fn resamples_that_no_memory_holds_are_an_error() {
    let (x, one) = ([1.0, 2.0], &Threads::one());
    let found = Bootstrap { level: 0.9, resamples: usize::MAX / 2, seed: 0 }.of(&Mean::new(&x, one).unwrap(), one);
    assert_eq!(found.unwrap_err().to_string(), format!("resamples: not enough memory for {}", usize::MAX / 2));
}
