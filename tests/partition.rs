//! Properties of `unmemorize::partition`: every cut is the cut of a stable sort, for any number of threads.

#![allow(clippy::float_cmp, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // exact values, small sizes

use proptest::prelude::*;
use unmemorize::Error;
use unmemorize::parallel::Threads;
use unmemorize::partition::{argsort, highest, lowest, nearest, random_strata, sample, strata, strata_within};

fn stable_order(scores: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[a].partial_cmp(&scores[b]).unwrap());
    order
}

fn strata_of_order(order: &[usize], k: usize) -> Vec<i64> {
    let (size, larger) = (order.len() / k, order.len() % k);
    let sizes = (0..k).map(|j| size + usize::from(j >= k - larger));
    let parts = (0_i64..).zip(sizes).flat_map(|(j, size)| std::iter::repeat_n(j, size));
    let mut result = vec![0; order.len()];
    order.iter().zip(parts).for_each(|(&id, part)| result[id] = part);
    result
}

fn ascending(ids: &[usize]) -> Vec<usize> {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids
}

fn score() -> impl Strategy<Value = f64> {
    let special = [f64::NEG_INFINITY, -1.0, -0.0, 0.0, 5e-324, 0.5, f64::MAX, f64::INFINITY];
    prop_oneof![proptest::sample::select(special.to_vec()), -1e3..1e3, any::<f64>().prop_filter("NaN", |x| !x.is_nan())]
}

fn scores() -> impl Strategy<Value = (Vec<f64>, usize)> {
    prop::collection::vec(score(), 1..200).prop_flat_map(|x| (1..=x.len(), Just(x))).prop_map(|(size, x)| (x, size))
}

proptest! {
    #[test]
    fn cuts_are_those_of_a_stable_sort((x, size) in scores(), threads in 1_usize..5) {
        let threads = Threads::new(threads).unwrap();
        let order = stable_order(&x);
        prop_assert_eq!(&argsort(&x, &threads).unwrap(), &order);
        prop_assert_eq!(strata(&x, size, &threads).unwrap(), strata_of_order(&order, size));
        prop_assert_eq!(lowest(&x, size, &threads).unwrap(), ascending(&order[..size]));
        prop_assert_eq!(highest(&x, size, &threads).unwrap(), ascending(&order[x.len() - size..]));
    }

    #[test]
    fn nearest_is_the_lowest_distance((x, size) in scores(), value in score()) {
        let distance: Vec<f64> = x.iter().map(|&s| if s == value { 0.0 } else { (s - value).abs() }).collect();
        let found = nearest(&x, value, size, &Threads::one()).unwrap();
        prop_assert_eq!(found, lowest(&distance, size, &Threads::one()).unwrap());
    }

    #[test]
    fn floats_of_half_the_size_are_cut_as_their_exact_doubles((x, size) in scores()) {
        let half: Vec<f32> = x.iter().map(|&s| s as f32).collect();
        let exact: Vec<f64> = half.iter().map(|&s| f64::from(s)).collect();
        let threads = Threads::one();
        prop_assert_eq!(strata(&half, size, &threads).unwrap(), strata(&exact, size, &threads).unwrap());
    }

    #[test]
    fn groups_are_cut_alone(x in prop::collection::vec((score(), 0_i64..3), 1..100), k in 1_usize..4) {
        let (scores, group): (Vec<f64>, Vec<i64>) = x.into_iter().unzip();
        let of_group = |g| (0..group.len()).filter(|&i| group[i] == g).collect::<Vec<_>>();
        let found = strata_within(&scores, &group, 3, k, &Threads::new(3).unwrap());
        if (0..3).any(|g| of_group(g).len() < k) {
            let too_small = matches!(found, Err(Error::Strata { .. }));
            prop_assert!(too_small);
            return Ok(());
        }
        let found = found.unwrap();
        for ids in (0..3).map(of_group) {
            let alone: Vec<f64> = ids.iter().map(|&i| scores[i]).collect();
            let parts: Vec<i64> = ids.iter().map(|&i| found[i]).collect();
            prop_assert_eq!(parts, strata(&alone, k, &Threads::one()).unwrap());
        }
    }

    #[test]
    fn samples_are_distinct_and_ascending(n in 1_usize..300, share in 0.0..=1.0, seed: u64) {
        let size = (n as f64 * share) as usize;
        let found = sample(n, size, seed, &Threads::one()).unwrap();
        prop_assert_eq!(found.len(), size);
        prop_assert!(found.is_sorted_by(|a, b| a < b));
        prop_assert!(found.iter().all(|&id| id < n));
        prop_assert_eq!(found, sample(n, size, seed, &Threads::new(2).unwrap()).unwrap());
    }
}

#[test]
fn large_inputs_are_cut_alike_for_any_number_of_threads() {
    let n = 200_003;
    let spread: Vec<f64> = (0..n).map(|i| f64::from((i * 7919) % n) / f64::from(n)).collect();
    let tied: Vec<f64> = spread.iter().map(|x| (x * 5.0).floor()).collect();
    let close: Vec<f64> =
        spread.iter().map(|x| if *x == 0.0 { -1e300 } else { 1.0 + (x * 1e4).floor() * 1e-12 }).collect();
    for x in [spread, tied, close] {
        let order = stable_order(&x);
        let (some, many) = (strata_of_order(&order, 11), strata_of_order(&order, 50));
        for count in 1..=8 {
            let threads = Threads::new(count).unwrap();
            assert_eq!(strata(&x, 11, &threads).unwrap(), some, "{count} threads");
            assert_eq!(strata(&x, 50, &threads).unwrap(), many, "{count} threads");
            assert_eq!(argsort(&x, &threads).unwrap(), order, "{count} threads");
        }
    }
    let parts = random_strata(200_003, 4, 1, &Threads::new(3).unwrap()).unwrap();
    assert_eq!(parts, random_strata(200_003, 4, 1, &Threads::one()).unwrap());
    assert_eq!([0, 1, 2, 3].map(|j| parts.iter().filter(|&&p| p == j).count()), [50_000, 50_001, 50_001, 50_001]);
}

#[test]
fn what_is_wrong_is_named() {
    let one = &Threads::one();
    let message = |found: Result<Vec<i64>, Error>| found.unwrap_err().to_string();
    assert_eq!(message(strata::<f64>(&[], 1, one)), "k: expected 1 to 0, the number of examples, got 1");
    assert_eq!(message(strata(&[1.0], 0, one)), "k: expected 1 to 1, the number of examples, got 0");
    assert_eq!(
        message(strata(&[1.0, f64::NAN], 1, one)),
        "score: 1 of 2 values are NaN, the first at position 1; leave them out first"
    );
    assert_eq!(message(strata_within(&[1.0], &[], 1, 1, one)), "by: expected 1 values to match score, got 0");
    assert_eq!(message(strata_within(&[1.0], &[-1], 1, 1, one)), "by: -1 is out of range for 1 groups (example 0)");
    assert_eq!(message(strata_within(&[1.0], &[1], 1, 1, one)), "by: 1 is out of range for 1 groups (example 0)");
    for hostile in [1 << 50, usize::MAX] {
        let message = message(random_strata(hostile, 1, 0, one));
        assert_eq!(message, format!("n: shape ({hostile}, 1) has more elements than memory can hold"));
        assert!(sample(hostile, 1, 0, one).is_err());
    }
    let found = [lowest(&[1.0], 2, one), highest(&[1.0], 2, one), nearest(&[1.0], 0.0, 2, one), sample(1, 2, 0, one)];
    for error in found.map(Result::unwrap_err) {
        assert_eq!(error.to_string(), "size: expected at most 1, the number of examples, got 2");
    }
}
