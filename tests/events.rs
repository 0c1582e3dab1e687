//! Learning events against the plain formulas, and against themselves in pieces.

#![allow(clippy::float_cmp)] // equal to the last bit is what is meant

use proptest::prelude::*;
use unmemorize::events::softmax::{self, LANES, Outcome, Outcomes};
use unmemorize::events::{Batch, LearningEvents, Mode, NAMES};
use unmemorize::logits::Logits;
use unmemorize::parallel::Threads;

/// confidence, max confidence, entropy, loss, margin, el2n, correct: as their definitions read.
fn plain(z: &[f64], y: usize) -> ([f64; 6], bool) {
    let top = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let log_total = z.iter().map(|x| (x - top).exp()).sum::<f64>().ln() + top;
    let p: Vec<f64> = z.iter().map(|x| (x - log_total).exp()).collect();
    let entropy = -z.iter().zip(&p).map(|(x, p)| if *p > 0.0 { p * (x - log_total) } else { 0.0 }).sum::<f64>();
    let others = (0..z.len()).filter(|&k| k != y);
    let rival = others.map(|k| z[k]).fold(f64::NEG_INFINITY, f64::max);
    let distance = p.iter().enumerate().map(|(k, p)| (p - f64::from(u8::from(k == y))).powi(2)).sum::<f64>().sqrt();
    let first = z.iter().position(|&x| x == top);
    let largest = p.iter().copied().fold(0.0, f64::max);
    ([p[y], largest, entropy, log_total - z[y], z[y] - rival, distance], first == Some(y))
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-7 + 1e-12 * b.abs().max(1.0) // plain el2n and loss lose half their digits near 0
}

/// Rows of logits of one width with ids below 12, labels and the width.
fn batches() -> impl Strategy<Value = (Vec<i64>, Vec<f64>, usize, Vec<i64>)> {
    (0..40_usize, prop_oneof![2..12_usize, 30..36_usize, 64..70_usize]).prop_flat_map(|(rows, classes)| {
        let z = prop_oneof![-20.0..20.0_f64, Just(0.0), Just(3.0), -1e30..1e30_f64];
        (
            proptest::collection::vec(0..12_i64, rows),
            proptest::collection::vec(z, rows * classes),
            Just(classes),
            proptest::collection::vec(0..i64::try_from(classes).unwrap(), rows),
        )
    })
}

fn outcomes(logits: Logits<'_>, labels: &[i64], classes: usize) -> Vec<Outcome> {
    let mut out = vec![Outcomes::default(); labels.len().div_ceil(LANES)];
    assert!(softmax::outcomes(logits, labels, classes, &mut out));
    (0..labels.len()).map(|row| out[row / LANES].row(row % LANES)).collect()
}

fn tracker() -> LearningEvents {
    LearningEvents::new(12, Mode::Train).unwrap()
}

fn bits(events: &LearningEvents) -> Vec<Vec<u64>> {
    events.scores(&Threads::one()).iter().map(|column| column.iter().map(|x| x.to_bits()).collect()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn outcomes_are_the_plain_formulas((_, z, classes, labels) in batches()) {
        let found = outcomes(Logits::F64(&z), &labels, classes);
        prop_assert_eq!(found.len(), labels.len());
        for ((found, z), &y) in found.iter().zip(z.chunks(classes)).zip(&labels) {
            let (wanted, correct) = plain(z, usize::try_from(y).unwrap());
            let o = [found.confidence, found.max_confidence, found.entropy, found.loss, found.margin, found.el2n];
            for (k, (o, w)) in o.into_iter().zip(wanted).enumerate() {
                prop_assert!(close(o, w), "statistic {}: {} is not {}", k, o, w);
            }
            prop_assert!(found.finite);
            prop_assert_eq!(found.correct, correct);
        }
    }

    #[test]
    fn a_row_does_not_depend_on_its_neighbours((_, z, classes, labels) in batches()) {
        let together = outcomes(Logits::F64(&z), &labels, classes);
        for (i, z) in z.chunks(classes).enumerate() {
            let alone = outcomes(Logits::F64(z), &labels[i..=i], classes);
            prop_assert_eq!(alone[0], together[i]);
        }
    }

    #[test]
    fn one_batch_or_many_rows_are_the_same((ids, z, classes, labels) in batches(), named in any::<bool>()) {
        let (mut whole, mut rows) = (tracker(), tracker());
        let epoch = named.then_some(3);
        let batch = Batch { ids: &ids, logits: Logits::F64(&z), classes, labels: &labels };
        whole.update(&batch, epoch, &Threads::one()).unwrap();
        for (i, z) in z.chunks(classes).enumerate() {
            let batch = Batch { ids: &ids[i..=i], logits: Logits::F64(z), classes, labels: &labels[i..=i] };
            rows.update(&batch, epoch, &Threads::one()).unwrap();
        }
        prop_assert_eq!(bits(&whole), bits(&rows));
        prop_assert_eq!(whole.seen(), rows.seen());
        if named {
            prop_assert!(whole.seen().iter().all(|&count| count <= 1), "an example counts once in an epoch");
        }
    }

    #[test]
    fn shards_of_examples_merge_bit_by_bit((ids, z, classes, labels) in batches()) {
        let (mut whole, mut even, mut odd) = (tracker(), tracker(), tracker());
        for epoch in 0..3 {
            for (i, z) in z.chunks(classes).enumerate() {
                let label = (labels[i] + epoch) % i64::try_from(classes).unwrap();
                let batch = Batch { ids: &ids[i..=i], logits: Logits::F64(z), classes, labels: &[label] };
                whole.update(&batch, Some(epoch), &Threads::one()).unwrap();
                let shard = if ids[i] % 2 == 0 { &mut even } else { &mut odd };
                shard.update(&batch, Some(epoch), &Threads::one()).unwrap();
            }
        }
        odd.merge(&even, &Threads::new(2).unwrap()).unwrap();
        prop_assert!(odd == whole || ids.is_empty());
        prop_assert_eq!(bits(&odd), bits(&whole));
    }

    #[test]
    fn shards_of_epochs_merge_to_the_same_counts(
        right in proptest::collection::vec(any::<bool>(), 1..12), cut in 0..12_usize, named in any::<bool>(), swap in any::<bool>()
    ) {
        let cut = cut.min(right.len());
        let (mut whole, mut early, mut late) = (tracker(), tracker(), tracker());
        for (e, &right) in right.iter().enumerate() {
            let z = [f64::from(u8::from(right)), 0.5 + e as f64 / 100.0 - 0.1 * f64::from(u8::from(right))];
            let batch = Batch { ids: &[5], logits: Logits::F64(&z), classes: 2, labels: &[0] };
            let epoch = named.then(|| i64::try_from(e).unwrap());
            whole.update(&batch, epoch, &Threads::one()).unwrap();
            if e < cut { &mut early } else { &mut late }.update(&batch, epoch, &Threads::one()).unwrap();
        }
        if named && swap {
            std::mem::swap(&mut early, &mut late); // the epochs say what came first
        }
        early.merge(&late, &Threads::one()).unwrap();
        prop_assert_eq!(early.seen(), whole.seen());
        let (merged, wanted) = (early.scores(&Threads::one()), whole.scores(&Threads::one()));
        for ((name, merged), wanted) in NAMES.iter().zip(merged).zip(wanted) {
            let (m, w) = (merged[5], wanted[5]);
            prop_assert!(m == w || (m - w).abs() < 1e-12, "{}: {} is not {}", name, m, w);
        }
    }
}

#[test]
fn the_same_bits_for_any_number_of_threads() {
    let (rows, classes) = (5000, 17);
    let z: Vec<f32> = (0..rows * classes).map(|i| ((i * 7919 % 10_007) as f32 / 1000.0).sin() * 9.0).collect();
    let ids: Vec<i64> = (0..rows).map(|i| i64::try_from(i * 31 % 900).unwrap()).collect();
    let labels: Vec<i64> = (0..rows).map(|i| i64::try_from(i % classes).unwrap()).collect();
    let batch = Batch { ids: &ids, logits: Logits::F32(&z), classes, labels: &labels };
    let run = |count| {
        let threads = Threads::new(count).unwrap();
        let mut events = LearningEvents::new(900, Mode::Train).unwrap();
        for _ in 0..2 {
            events.update(&batch, None, &threads).unwrap();
        }
        (bits(&events), events)
    };
    let one = run(1);
    for count in 2..=8 {
        assert!(run(count) == one, "{count} threads");
    }
}

#[test]
fn a_failed_update_changes_nothing() {
    let one = Threads::one();
    let mut events = tracker();
    let good = Batch { ids: &[1, 2], logits: Logits::F64(&[0.0, 1.0, 2.0, 3.0]), classes: 2, labels: &[0, 1] };
    events.update(&good, Some(2), &one).unwrap();
    let before = events.clone();
    let cases: [(Batch<'_>, Option<i64>, &str); 11] = [
        (Batch { ids: &[1], ..good }, Some(3), "ids: expected 2 values to match logits of shape (2, 2), got 1"),
        (Batch { labels: &[1], ..good }, Some(3), "labels: expected 2 values to match logits of shape (2, 2), got 1"),
        (Batch { ids: &[1, 12], ..good }, Some(3), "ids: 12 is out of range for a tracker of 12 examples"),
        (Batch { ids: &[1, -1], ..good }, Some(3), "ids: -1 is out of range for a tracker of 12 examples"),
        (Batch { labels: &[0, 2], ..good }, Some(3), "labels: 2 is out of range for 2 classes (example 2)"),
        (
            Batch { logits: Logits::F64(&[0.0, 1.0, f64::NAN, 0.0]), ..good },
            Some(3),
            "logits: not finite (NaN or infinite) for example 2",
        ),
        (
            Batch { logits: Logits::F32(&[f32::INFINITY, 1.0, 2.0, 0.0]), ..good },
            Some(3),
            "logits: not finite (NaN or infinite) for example 1",
        ),
        (
            Batch { logits: Logits::F64(&[0.0, 1.0]), classes: 1, ..good },
            Some(3),
            "logits: expected at least 2 classes, got shape (2, 1)",
        ),
        (good, Some(1), "epoch: example 1 was already seen in epoch 2, which is after epoch 1"),
        (good, Some(-1), "epoch: expected 0 to 2147483646, got -1"),
        (good, None, "epoch: epochs are named so far, now counted; give epoch= in every update or in none"),
    ];
    for (batch, epoch, message) in cases {
        assert_eq!(events.update(&batch, epoch, &one).unwrap_err().to_string(), message);
        assert!(events == before, "{message}");
    }
}

#[test]
fn losses_near_zero_keep_their_digits() {
    let z = [40.0, 0.0, -5.0];
    let found = outcomes(Logits::F64(&z), &[0], 3)[0];
    let others = (-40.0_f64).exp() + (-45.0_f64).exp();
    assert!((found.loss / others - 1.0).abs() < 1e-14, "{:e}", found.loss);
    assert!(found.el2n > 4e-18 && found.el2n < 1e-17, "{:e}", found.el2n);
}

#[test]
fn overlapping_epochs_lose_forgetting_events_only() {
    let one = Threads::one();
    let (mut a, mut b) = (tracker(), tracker());
    let row = |right: bool| if right { [1.0, 0.0] } else { [0.0, 1.0] };
    for (tracker, epochs) in [(&mut a, [0, 2]), (&mut b, [1, 3])] {
        for (epoch, right) in epochs.into_iter().zip([true, false]) {
            let z = row(right);
            let batch = Batch { ids: &[0], logits: Logits::F64(&z), classes: 2, labels: &[0] };
            tracker.update(&batch, Some(epoch), &one).unwrap();
        }
    }
    a.merge(&b, &one).unwrap();
    let scores = a.scores(&one);
    let score = |name: &str| scores[NAMES.iter().position(|known| *known == name).unwrap()][0];
    assert!(score("forgetting_events").is_nan());
    assert!((score("accuracy") - 0.5).abs() < 1e-15);
    assert_eq!(score("first_learned").to_bits(), 0.0_f64.to_bits());
    assert_eq!(a.seen()[0], 4);
}

#[test]
fn an_example_that_two_workers_saw_in_one_epoch_counts_once() {
    let one = Threads::one();
    let mut run = tracker();
    for epoch in 0..3 {
        let mut other = tracker();
        let batch = Batch { ids: &[0, 1], logits: Logits::F64(&[1.0, 0.0, 0.0, 1.0]), classes: 2, labels: &[0, 0] };
        run.update(&batch, Some(epoch), &one).unwrap();
        let padded = Batch { ids: &[2, 0], ..batch }; // example 0 again, from the padded sampler
        other.update(&padded, Some(epoch), &one).unwrap();
        run.merge(&other, &one).unwrap();
    }
    assert_eq!(run.seen()[..4], [3, 3, 3, 0]);
    assert!(run.scores(&one)[8][0] == 0.0, "its order is known: never forgotten");
}

#[test]
fn trackers_that_do_not_belong_together_are_told_apart() {
    let one = Threads::one();
    let message = tracker().merge(&LearningEvents::new(13, Mode::Train).unwrap(), &one).unwrap_err().to_string();
    assert_eq!(message, "n_examples: expected 12 to match this tracker, got 13");
    let message = tracker().merge(&LearningEvents::new(12, Mode::Eval).unwrap(), &one).unwrap_err().to_string();
    assert_eq!(message, "mode: expected 'train' to match this tracker, got 'eval'");
    assert!(LearningEvents::new(usize::MAX / 8, Mode::Train).is_err());
}

#[test]
fn taking_all_but_some_is_forgetting_them() {
    let (z, ids) = ([2.0, 0.0, 0.0, 1.0, 3.0, 1.0], [4, 0, 7]);
    let mut events = tracker();
    events
        .update(&Batch { ids: &ids, logits: Logits::F64(&z), classes: 2, labels: &[0, 0, 1] }, Some(0), &Threads::one())
        .unwrap();
    let (whole, two) = (events.clone(), Threads::new(2).unwrap());
    assert_eq!(whole.take(&[7, 4], &two).unwrap().seen(), [1, 1]);
    assert_eq!(bits(&whole.take(&(0..12).collect::<Vec<_>>(), &two).unwrap()), bits(&whole));
    assert!(events.forget(&[4, 12]).is_err());
    assert_eq!(events, whole);
    events.forget(&[4, 4]).unwrap();
    assert_eq!(events.seen(), [1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]);
    assert_eq!(bits(&events.take(&[0, 7], &two).unwrap()), bits(&whole.take(&[0, 7], &two).unwrap()));
}
