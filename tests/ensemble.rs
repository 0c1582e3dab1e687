//! Ensemble estimates against counting one by one.

#![allow(clippy::float_cmp)] // equal to the last bit is what is meant

use proptest::prelude::*;
use unmemorize::Error;
use unmemorize::bits::BitMatrix;
use unmemorize::ensemble::influence::{By, influence as influence_into, influence_std_error, influence_topk};
use unmemorize::ensemble::out_of_sample::OutOfSample;
use unmemorize::ensemble::soft::SoftMemorization;
use unmemorize::ensemble::{c_score, memorization, reliability};
use unmemorize::logits::Logits;
use unmemorize::parallel::Threads;

#[derive(Debug, Clone)]
struct Models {
    count: usize,
    n: usize,
    m: usize,
    member: Vec<bool>,
    correct: Vec<bool>,
    test: Vec<bool>,
}

impl Models {
    fn packed(&self) -> (BitMatrix, BitMatrix, BitMatrix) {
        let pack = |values: &[bool], columns| BitMatrix::pack(values, self.count, columns, &Threads::one()).unwrap();
        (pack(&self.member, self.n), pack(&self.correct, self.n), pack(&self.test, self.m))
    }

    /// Models in, right among them, models out, right among them; for a training example and what they are right on.
    fn counts(&self, i: usize, right: impl Fn(usize) -> bool) -> [f64; 4] {
        let mut counts = [0.0; 4];
        for t in 0..self.count {
            let side = if self.member[t * self.n + i] { 0 } else { 2 };
            counts[side] += 1.0;
            counts[side + 1] += f64::from(u8::from(right(t)));
        }
        counts
    }
}

fn ensembles() -> impl Strategy<Value = Models> {
    let bits = |len| proptest::collection::vec(any::<bool>(), len);
    (0..150_usize, 1..90_usize, 0..40_usize).prop_flat_map(move |(count, n, m)| {
        (bits(count * n), bits(count * n), bits(count * m)).prop_map(move |(member, correct, test)| Models {
            count,
            n,
            m,
            member,
            correct,
            test,
        })
    })
}

fn influence(member: &BitMatrix, test: &BitMatrix, threads: &Threads) -> Result<Vec<f32>, Error> {
    let mut out = vec![0.0; member.columns() * test.columns()];
    influence_into(member, test, 0, &mut out, threads).map(|()| out)
}

fn same(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()) || (a - b).abs() < 1e-6
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn memorization_is_a_difference_of_shares(models in ensembles(), count in 1..5_usize) {
        let (member, correct, _) = models.packed();
        let threads = Threads::new(count).unwrap();
        let found = memorization(&member, &correct, false, &threads).unwrap();
        let legacy = memorization(&member, &correct, true, &threads).unwrap();
        let easy = c_score(&member, &correct, &threads).unwrap();
        for i in 0..models.n {
            let [inside, right_in, outside, right_out] = models.counts(i, |t| models.correct[t * models.n + i]);
            let wanted = right_in / inside - right_out / outside;
            prop_assert!(found.score[i] == wanted || wanted.is_nan() && found.score[i].is_nan());
            prop_assert!(same(legacy.score[i], right_in / inside.max(1.0) - right_out / outside.max(1.0)));
            prop_assert!(same(easy[i], right_out / outside));
            let variance = |k: f64, right: f64| { let p = (right + 0.5) / (k + 1.0); p * (1.0 - p) / k };
            let error = (variance(inside, right_in) + variance(outside, right_out)).sqrt();
            let error = if wanted.is_nan() { f64::NAN } else { error };
            prop_assert!(same(found.std_error[i], error));
            prop_assert!(found.std_error[i].is_nan() || found.std_error[i] > 0.0);
            prop_assert_eq!(found.n_in[i] as f64, inside);
            prop_assert_eq!(found.n_out[i] as f64, outside);
        }
    }

    #[test]
    fn influence_is_a_difference_of_shares(models in ensembles(), count in 1..5_usize) {
        let (member, _, test) = models.packed();
        let found = influence(&member, &test, &Threads::new(count).unwrap()).unwrap();
        prop_assert_eq!(found.len(), models.n * models.m);
        for j in 0..models.m {
            for i in 0..models.n {
                let [inside, right_in, outside, right_out] = models.counts(i, |t| models.test[t * models.m + j]);
                let wanted = right_in / inside - right_out / outside;
                prop_assert!(same(found[j * models.n + i].into(), wanted), "{} {}", j, i);
            }
        }
    }

    #[test]
    fn the_largest_magnitudes_and_their_errors_are_those_of_the_dense_matrix(models in ensembles(), count in 1..5_usize) {
        let (member, _, test) = models.packed();
        let threads = Threads::new(count).unwrap();
        let dense = influence(&member, &test, &threads).unwrap();
        let (ids, values) = influence_topk(&member, &test, models.n, By::Magnitude, &threads).unwrap();
        let errors = influence_std_error(&member, &test, Some(&ids), &threads).unwrap();
        let all = influence_std_error(&member, &test, None, &threads).unwrap();
        for (at, ((&id, value), error)) in ids.iter().zip(&values).zip(errors).enumerate() {
            let row = at / models.n * models.n;
            match usize::try_from(id) {
                Ok(i) => prop_assert!(*value == dense[row + i] && error == all[row + i] && error > 0.0),
                Err(_) => prop_assert!(value.is_nan() && error.is_nan()),
            }
            let later = at % models.n > 0 && !value.is_nan();
            prop_assert!(!later || values[at - 1].abs() > value.abs()
                || values[at - 1].abs() == value.abs() && ids[at - 1] < id);
        }
    }

    #[test]
    fn the_largest_influences_are_those_of_the_dense_matrix(models in ensembles(), k in 1..90_usize, count in 1..5_usize) {
        let (member, _, test) = models.packed();
        let threads = Threads::new(count).unwrap();
        let k = k.min(models.n);
        let dense = influence(&member, &test, &threads).unwrap();
        let (ids, values) = influence_topk(&member, &test, k, By::Value, &threads).unwrap();
        for j in 0..models.m {
            let row = &dense[j * models.n..][..models.n];
            let mut order: Vec<usize> = (0..models.n).filter(|&i| !row[i].is_nan()).collect();
            order.sort_by(|&a, &b| row[b].partial_cmp(&row[a]).unwrap().then(a.cmp(&b)));
            for place in 0..k {
                let (id, value) = (ids[j * k + place], values[j * k + place]);
                match order.get(place) {
                    Some(&i) => {
                        prop_assert_eq!(usize::try_from(id).unwrap(), i);
                        prop_assert!(value == row[i]);
                    }
                    None => prop_assert!(id == -1 && value.is_nan()),
                }
            }
        }
    }

    #[test]
    fn soft_memorization_is_the_difference_of_two_means(models in ensembles(), threads in 1_usize..9) {
        let threads = &Threads::new(threads).unwrap();
        let p: Vec<f64> = (0..models.count * models.n).map(|i| (i * 37 % 101) as f64 / 100.0).collect();
        let mut gathered = SoftMemorization::new(models.n).unwrap();
        for (member, p) in models.member.chunks(3 * models.n).zip(p.chunks(3 * models.n)) {
            gathered.add(member, Logits::F64(p), u32::try_from(p.len() / models.n).unwrap(), threads).unwrap();
        }
        let found = gathered.finish();
        for i in 0..models.n {
            let side = |inside: bool| {
                let of = (0..models.count).filter(|t| models.member[t * models.n + i] == inside);
                let p: Vec<f64> = of.map(|t| p[t * models.n + i]).collect();
                let n = p.len() as f64;
                let mean = p.iter().sum::<f64>() / n;
                (mean, p.iter().map(|p| (p - mean) * (p - mean)).sum::<f64>() / (n - 1.0) / n)
            };
            let ((mean_in, error_in), (mean_out, error_out)) = (side(true), side(false));
            prop_assert!(same(found.score[i], mean_in - mean_out));
            prop_assert!(same(found.std_error[i].powi(2), error_in + error_out));
            prop_assert_eq!(usize::try_from(found.n_in[i] + found.n_out[i]).unwrap(), models.count);
        }
    }

    #[test]
    fn out_of_sample_is_the_mean_over_the_others(models in ensembles()) {
        let classes = 3;
        let probs: Vec<f64> = (0..models.count * models.n * classes).map(|i| (i * 37 % 101) as f64 / 100.0).collect();
        let mut gathered = OutOfSample::new(models.n, classes).unwrap();
        for t in 0..models.count {
            let member = &models.member[t * models.n..][..models.n];
            let probs = &probs[t * models.n * classes..][..models.n * classes];
            gathered.add(member, Logits::F64(probs), &Threads::new(2).unwrap()).unwrap();
        }
        let found = gathered.mean(&Threads::new(2).unwrap()).unwrap();
        for i in 0..models.n {
            for c in 0..classes {
                let out: Vec<f64> = (0..models.count)
                    .filter(|t| !models.member[t * models.n + i])
                    .map(|t| probs[(t * models.n + i) * classes + c])
                    .collect();
                let wanted = out.iter().sum::<f64>() / out.len() as f64;
                prop_assert!(same(found[i * classes + c], wanted));
            }
        }
    }
}

#[test]
fn halves_of_one_truth_agree_and_of_noise_do_not() {
    let (models, n) = (200, 300);
    let mut x = 0x9E37_79B9_7F4A_7C15_u64;
    let mut below = |n: u64| {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x % n
    };
    let member: Vec<bool> = (0..models * n).map(|_| below(10) < 7).collect();
    // Example i is learned by heart with probability i / n.
    let truth: Vec<bool> =
        (0..models * n).map(|k| below(100) < 30 || member[k] && below(n as u64) < (k % n) as u64).collect();
    let noise: Vec<bool> = (0..models * n).map(|_| below(2) == 0).collect();
    let pack = |values: &[bool]| BitMatrix::pack(values, models, n, &Threads::one()).unwrap();
    let (member, truth, noise) = (pack(&member), pack(&truth), pack(&noise));
    let of = |correct: &BitMatrix, count| reliability(&member, correct, 8, 1, &Threads::new(count).unwrap()).unwrap();
    let (agreement, examples) = of(&truth, 1);
    assert_eq!(examples, n);
    assert!(agreement.iter().all(|&r| r > 0.85 && r < 1.0), "{agreement:?}");
    assert!(of(&noise, 1).0.iter().sum::<f64>() < 8.0 * 0.3);
    for count in 2..=8 {
        assert_eq!(of(&truth, count), (agreement.clone(), examples), "{count} threads");
    }
}

#[test]
fn bad_input_is_named() {
    let one = Threads::one();
    let matrix = |rows, columns| BitMatrix::zeros(rows, columns).unwrap();
    let message = memorization(&matrix(3, 4), &matrix(3, 5), false, &one).unwrap_err().to_string();
    assert_eq!(message, "correct: expected shape (3, 4) to match member, got (3, 5)");
    let message = influence(&matrix(3, 4), &matrix(2, 4), &one).unwrap_err().to_string();
    assert_eq!(message, "test_correct: expected 3 models (rows) to match member, got 2");
    for k in [0, 5] {
        let message = influence_topk(&matrix(3, 4), &matrix(3, 4), k, By::Value, &one).unwrap_err().to_string();
        assert_eq!(message, format!("k: expected 1 to 4, the number of training examples, got {k}"));
    }
    let message = reliability(&matrix(3, 4), &matrix(3, 4), 5, 0, &one).unwrap_err().to_string();
    assert_eq!(message, "member: a split into two halves needs at least 4 models, got 3");
    assert!(reliability(&matrix(4, 4), &matrix(4, 4), 0, 0, &one).is_err());
    let mut gathered = OutOfSample::new(2, 2).unwrap();
    let message = gathered.add(&[false; 2], Logits::F32(&[0.5, 0.5, 1.5, -0.5]), &one).unwrap_err().to_string();
    assert_eq!(message, "probs: expected probabilities in [0, 1], got 1.5 for example 1");
    assert!(gathered.mean(&Threads::one()).unwrap().iter().all(|x| x.is_nan()));
}

#[test]
fn no_models_and_no_examples_are_no_estimates() {
    let one = Threads::one();
    let none = BitMatrix::zeros(0, 5).unwrap();
    let found = memorization(&none, &none, false, &one).unwrap();
    assert!(found.score.iter().chain(&found.std_error).all(|x| x.is_nan()));
    assert_eq!((found.n_in, found.n_out), (vec![0; 5], vec![0; 5]));
    assert!(influence(&none, &none, &one).unwrap().iter().all(|x| x.is_nan()));
    let empty = BitMatrix::zeros(7, 0).unwrap();
    assert!(memorization(&empty, &empty, false, &one).unwrap().score.is_empty());
    assert!(influence(&empty, &empty, &one).unwrap().is_empty());
    let (ids, values) = influence_topk(&none, &BitMatrix::zeros(0, 7).unwrap(), 1, By::Value, &one).unwrap();
    assert_eq!(ids, [-1; 7]);
    assert!(values.iter().all(|x| x.is_nan()));
}
