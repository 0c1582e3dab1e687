//! Audits against their definitions, counted one by one.

#![allow(clippy::float_cmp, clippy::cast_possible_truncation)] // exact counts; small whole numbers

use half::f16;
use proptest::prelude::*;
use unmemorize::audit::Phi;
use unmemorize::audit::epsilon::{epsilon, intervals};
use unmemorize::audit::klom::{LEAST, klom};
use unmemorize::audit::lira::{Variance, lira, u_lira};
use unmemorize::audit::rmia::{Probabilities, rmia};
use unmemorize::audit::roc::{Auc, Roc, Sweep, TprAt};
use unmemorize::audit::tow::Tow;
use unmemorize::logits::Logits;
use unmemorize::parallel::Threads;
use unmemorize::resample::{Bootstrap, Statistic, Statistics, counts};

fn phi(values: &[f64], n: usize) -> Phi<'_> {
    Phi::new("phi", Logits::F64(values), values.len() / n.max(1), n).unwrap()
}

fn near(a: f64, b: f64) -> bool {
    a == b || a.is_nan() && b.is_nan() || (a - b).abs() <= 1e-9 * (1.0 + a.abs().max(b.abs()))
}

/// φ with ties, and whole multiples so that a mean can be exact.
fn score() -> impl Strategy<Value = f64> {
    prop_oneof![(-4..5_i32).prop_map(f64::from), -20.0..20.0_f64]
}

/// Models and examples, φ and who was trained on what.
fn ensembles() -> impl Strategy<Value = (usize, Vec<f64>, Vec<bool>, Vec<f64>)> {
    (0..20_usize, 1..300_usize).prop_flat_map(|(models, n)| {
        let len = models * n;
        (
            Just(n),
            proptest::collection::vec(score(), len),
            proptest::collection::vec(any::<bool>(), len),
            proptest::collection::vec(score(), n),
        )
    })
}

/// Mean, sum of squares and count of one side of one example.
fn side(values: &[f64], member: &[bool], n: usize, i: usize, inside: bool, leave: Option<usize>) -> (f64, f64, f64) {
    let rows = (0..values.len() / n).filter(|&t| member[t * n + i] == inside && Some(t) != leave);
    let x: Vec<f64> = rows.map(|t| values[t * n + i]).collect();
    let mean = x.iter().sum::<f64>() / x.len() as f64;
    (mean, x.iter().map(|x| (x - mean).powi(2)).sum(), x.len() as f64)
}

fn log_normal(x: f64, mean: f64, variance: f64) -> f64 {
    let variance = if variance > 0.0 { variance } else { f64::NAN };
    -0.5 * (std::f64::consts::TAU * variance).ln() - (x - mean).powi(2) / (2.0 * variance)
}

#[test]
fn one_model_that_is_left_has_no_variance_even_by_rounding() {
    let (two, three) = (phi(&[-4.0, -4.001_545_902_360_296], 1), phi(&[1.0, 2.0, 4.0], 1));
    let [of_two, of_three] = u_lira([&two, &three], [None, None], Variance::Example, &Threads::one()).unwrap();
    assert!(of_two.iter().all(|score| score.is_nan()), "{of_two:?}");
    assert!(of_three.iter().all(|score| score.is_finite()), "{of_three:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn lira_is_a_ratio_of_likelihoods((n, values, member, target) in ensembles(), count in 1..5_usize) {
        let threads = Threads::new(count).unwrap();
        for variance in [Variance::Pooled, Variance::Example] {
            let of = |online| lira(&phi(&values, n), &member, &phi(&target, n), variance, online, &threads);
            let (Ok(online), Ok(offline)) = (of(true), of(false)) else {
                prop_assert!(variance == Variance::Pooled); // all the same
                continue;
            };
            let sides = |i| [false, true].map(|inside| side(&values, &member, n, i, inside, None));
            let total = |k: usize| (0..n).map(|i| sides(i)[k]).fold((0.0, 0.0), |(squares, freedom), (_, s, count)| {
                if count > 0.0 { (squares + s, freedom + count - 1.0) } else { (squares, freedom) }
            });
            let pooled = [total(0), total(1)].map(|(squares, freedom)| squares / freedom);
            for i in 0..n {
                let gaussian = |k: usize| {
                    let (mean, squares, count) = sides(i)[k];
                    (mean, if variance == Variance::Pooled { pooled[k] } else { squares / (count - 1.0) })
                };
                let ([out_mean, out_var], [in_mean, in_var]) = (<[f64; 2]>::from(gaussian(0)), <[f64; 2]>::from(gaussian(1)));
                if out_var > 1e-20 || !out_var.is_finite() {
                    let wanted = if out_var > 0.0 { (target[i] - out_mean) / out_var.sqrt() } else { f64::NAN };
                    prop_assert!(near(offline[i], wanted), "{} {}", offline[i], wanted);
                }
                if (out_var > 1e-20 || out_var.is_nan()) && (in_var > 1e-20 || in_var.is_nan()) {
                    let wanted = log_normal(target[i], in_mean, in_var) - log_normal(target[i], out_mean, out_var);
                    prop_assert!(near(online[i], wanted), "{} {}", online[i], wanted);
                }
            }
        }
    }

    #[test]
    fn u_lira_leaves_out_the_model_that_it_judges((n, values, member, _) in ensembles()) {
        let all = phi(&values, n);
        let other: Vec<bool> = member.iter().map(|m| !m).collect();
        let masks = [Some(member.as_slice()), Some(other.as_slice())];
        let [unlearned, oracle] = u_lira([&all, &all], masks, Variance::Example, &Threads::new(2).unwrap()).unwrap();
        for (at, &x) in values.iter().enumerate() {
            let (t, i) = (at / n, at % n);
            let gaussian = |inside| {
                let (mean, squares, count) = side(&values, &member, n, i, inside, Some(t));
                (mean, squares / (count - 1.0))
            };
            let ((in_mean, in_var), (out_mean, out_var)) = (gaussian(true), gaussian(false));
            if [in_var, out_var].iter().any(|&v| v < 1e-6) {
                continue; // all the same, up to rounding
            }
            let wanted = log_normal(x, in_mean, in_var) - log_normal(x, out_mean, out_var);
            let (_, all, _) = side(&values, &member, n, i, member[at], None);
            let (_, rest, _) = side(&values, &member, n, i, member[at], Some(t));
            let close = 1e-6_f64.max(1e-13 * all / rest) * (1.0 + wanted.abs()); // what taking one model out cancels
            let (found, none) = if member[at] { (unlearned[at], oracle[at]) } else { (oracle[at], unlearned[at]) };
            prop_assert!((found - wanted).abs() <= close || found.is_nan() && wanted.is_nan());
            prop_assert!(none.is_nan());
        }
    }

    #[test]
    fn rmia_is_a_share_of_all_pairs(
        x in proptest::collection::vec((0..9_u32, 1..9_u32), 0..60),
        z in proptest::collection::vec((0..9_u32, 1..9_u32), 1..60),
        gamma in prop_oneof![Just(1.0), Just(2.0), 0.1..4.0],
        a in proptest::option::of(0.0..=1.0_f64),
    ) {
        let split = |pairs: &[(u32, u32)]| -> (Vec<f64>, Vec<f64>) {
            pairs.iter().map(|&(p, q)| (f64::from(p) / 8.0, f64::from(q) / 8.0)).unzip()
        };
        let ((target, reference), (z_target, z_reference)) = (split(&x), split(&z));
        let examples = Probabilities { target: &target, reference: &reference };
        let population = Probabilities { target: &z_target, reference: &z_reference };
        let found = rmia(examples, population, gamma, a, &Threads::new(3).unwrap()).unwrap();
        let p = |out: f64| a.map_or(out, |a| f64::midpoint((1.0 + a) * out, 1.0 - a));
        for i in 0..x.len() {
            let lr = target[i] / p(reference[i]);
            let above = (0..z.len()).filter(|&j| lr / (z_target[j] / p(z_reference[j])) >= gamma).count();
            prop_assert_eq!(found[i], above as f64 / z.len() as f64);
        }
    }

    #[test]
    fn klom_is_a_divergence_of_histograms(
        u in proptest::collection::vec(score(), LEAST * 3),
        o in proptest::collection::vec(score(), (LEAST + 6) * 3),
        bins in 1..30_usize,
    ) {
        let found = klom(&phi(&u, 3), &phi(&o, 3), bins, 1e-5, &Threads::one()).unwrap();
        for i in 0..3 {
            let column = |values: &[f64]| values.iter().skip(i).step_by(3).copied().collect::<Vec<_>>();
            let (u, o) = (column(&u), column(&o));
            let all = || u.iter().chain(&o).copied();
            let (low, high) = (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max));
            let edge = |k: usize| low + k as f64 * ((high - low) / bins as f64);
            let share = |x: &[f64], k: usize| {
                let inside = |x: f64| (k == 0 || x >= edge(k)) && (k + 1 == bins || x < edge(k + 1));
                let count = x.iter().filter(|&&x| inside(x)).count();
                (count as f64 / x.len() as f64 + 1e-5) / (1.0 + bins as f64 * 1e-5)
            };
            let wanted: f64 = (0..bins).map(|k| share(&u, k) * (share(&u, k) / share(&o, k)).ln()).sum();
            prop_assert!((found[i] - wanted).abs() < 1e-9 && found[i] >= -1e-12);
        }
    }

    #[test]
    fn klom_of_f32_is_that_of_the_same_numbers_in_f64_whatever_the_other_side_is(
        values in proptest::collection::vec(score(), 2 * LEAST * 5),
        bins in 1..80_usize,
        scale in prop_oneof![Just(1.0), Just(1e-36), Just(1e-44), Just(1e36)],
    ) {
        let narrow: Vec<f32> = values.iter().map(|x| (x * scale) as f32).collect();
        let wide: Vec<f64> = narrow.iter().copied().map(f64::from).collect();
        let half = LEAST * 5;
        let single = |x| Phi::new("phi", Logits::F32(x), LEAST, 5).unwrap();
        let one = Threads::one();
        let wanted = klom(&phi(&wide[..half], 5), &phi(&wide[half..], 5), bins, 1e-5, &one).unwrap();
        prop_assert_eq!(klom(&single(&narrow[..half]), &single(&narrow[half..]), bins, 1e-5, &one).unwrap(), wanted);

        let near_one: Vec<f64> = values.iter().map(|x| 1.0 + x * scale.min(1e-5)).collect();
        let rounded: Vec<f32> = near_one[..half].iter().map(|&x| x as f32).collect();
        let same: Vec<f64> = rounded.iter().copied().map(f64::from).collect();
        for swapped in [false, true] {
            let of = |narrow: &Phi<'_>| {
                let [a, b] = if swapped { [&phi(&near_one[half..], 5), narrow] } else { [narrow, &phi(&near_one[half..], 5)] };
                klom(a, b, bins, 1e-5, &one).unwrap()
            };
            prop_assert_eq!(of(&single(&rounded)), of(&phi(&same, 5)), "f32 beside f64, swapped: {}", swapped);
        }
    }

    #[test]
    fn epsilon_is_the_best_of_all_thresholds(
        u in proptest::collection::vec(score(), 1..30),
        o in proptest::collection::vec(score(), 1..30),
        delta in prop_oneof![Just(0.0), Just(1e-5), 0.0..0.5_f64],
    ) {
        let found = epsilon(&phi(&u, 1), &phi(&o, 1), delta, &Threads::one()).unwrap()[0];
        let mut wanted: f64 = 0.0;
        for &threshold in u.iter().chain(&o) {
            for above in [true, false] {
                let called = |x: &f64| (*x > threshold) == above;
                let fnr = u.iter().filter(|x| !called(x)).count() as f64 / u.len() as f64;
                let fpr = o.iter().filter(|x| called(x)).count() as f64 / o.len() as f64;
                if fnr == 0.0 && fpr == 0.0 {
                    wanted = f64::INFINITY;
                } else if fnr > 0.0 && fpr > 0.0 {
                    wanted = wanted.max(((1.0 - delta - fpr) / fnr).ln()).max(((1.0 - delta - fnr) / fpr).ln());
                }
            }
        }
        prop_assert!(near(found, wanted), "{} {}", found, wanted);
    }

    #[test]
    fn epsilon_of_a_resample_is_that_of_the_repeated_models(
        u in proptest::collection::vec(score(), 1..12),
        o in proptest::collection::vec(score(), 1..12),
        seed in any::<u64>(),
    ) {
        let bootstrap = Bootstrap { level: 0.5, resamples: 1, seed };
        let found = intervals(&phi(&u, 1), &phi(&o, 1), 1e-5, &bootstrap, &Threads::one()).unwrap()[0];
        let drawn = counts(u.len() + o.len(), seed, 0);
        let repeat = |x: &[f64], drawn: &[u32]| -> Vec<f64> {
            x.iter().zip(drawn).flat_map(|(&x, &count)| std::iter::repeat_n(x, count as usize)).collect()
        };
        let (of_u, of_o) = (repeat(&u, &drawn[..u.len()]), repeat(&o, &drawn[u.len()..]));
        let plain = |u: &[f64], o: &[f64]| epsilon(&phi(u, 1), &phi(o, 1), 1e-5, &Threads::one()).unwrap()[0];
        prop_assert!(near(found.value, plain(&u, &o)));
        let wanted = if of_u.is_empty() || of_o.is_empty() { f64::NAN } else { plain(&of_u, &of_o) };
        prop_assert!(near(found.low, wanted) && near(found.high, wanted), "{found:?} {wanted}");
    }

    #[test]
    fn tow_is_a_product_over_groups(
        groups in proptest::collection::vec(proptest::collection::vec(-1..=1_i8, 1..20), 1..4),
        seed in any::<u64>(),
    ) {
        let difference = groups.concat();
        let ends: Vec<usize> = (1..=groups.len()).map(|k| groups[..k].concat().len()).collect();
        let drawn = counts(difference.len(), seed, 0);
        let (mut wanted, mut at) = (1.0, 0);
        for group in &groups {
            let weight = |k: usize| f64::from(drawn[at + k]);
            let sum: f64 = group.iter().enumerate().map(|(k, &d)| weight(k) * f64::from(d)).sum();
            wanted *= 1.0 - (sum / (0..group.len()).map(weight).sum::<f64>()).abs();
            at += group.len();
        }
        let found = Tow { difference: &difference, ends: &ends }.of(&drawn, &mut (), &Threads::one());
        prop_assert!(near(found, wanted), "{} {}", found, wanted);
    }

    #[test]
    fn a_curve_and_its_resamples_count_pairs(
        data in proptest::collection::vec((score(), any::<bool>()), 2..60),
        fpr in 0.0..=1.0_f64,
        seed in any::<u64>(),
    ) {
        let (scores, mut members): (Vec<f64>, Vec<bool>) = data.into_iter().unzip();
        (members[0], members[1]) = (true, false);
        let roc = Roc::new(&scores, &members, &Threads::new(2).unwrap()).unwrap();
        let n = scores.len();
        for drawn in [vec![1; n], counts(n, seed, 0), counts(n, seed, 1)] {
            let of = |wanted: bool, f: &dyn Fn(f64) -> bool| -> f64 {
                (0..n).filter(|&i| members[i] == wanted && f(scores[i])).map(|i| f64::from(drawn[i])).sum()
            };
            let (all_members, all_others) = (of(true, &|_| true), of(false, &|_| true));
            let pairs: f64 = (0..n).filter(|&i| members[i]).map(|i| {
                f64::from(drawn[i]) * (of(false, &|s| s < scores[i]) + of(false, &|s| s == scores[i]) / 2.0)
            }).sum();
            prop_assert!(near(Auc(&roc).of(&drawn, &mut (), &Threads::one()), pairs / (all_members * all_others)));
            let tpr = scores.iter().filter(|&&t| of(false, &|s| s >= t) / all_others <= fpr)
                .map(|&t| of(true, &|s| s >= t) / all_members).fold(0.0, f64::max);
            let found = TprAt { roc: &roc, fpr }.of(&drawn, &mut (), &Threads::one());
            prop_assert!(near(found, tpr) || all_members == 0.0 || all_others == 0.0);
            let mut rates = vec![0.0; 2 * n];
            Sweep::new(&roc, &scores).unwrap().write(&drawn, &mut Vec::new(), &Threads::one(), &mut rates);
            for (rates, &threshold) in rates.chunks(2).zip(&scores) {
                prop_assert!(near(rates[0], of(true, &|s| s >= threshold) / all_members));
                prop_assert!(near(rates[1], of(false, &|s| s >= threshold) / all_others));
            }
        }
        let curve = roc.curve(&Threads::one());
        prop_assert_eq!((curve.fpr[0], curve.tpr[0], curve.thresholds[0]), (0.0, 0.0, f64::INFINITY));
        let area: f64 = curve.fpr.windows(2).zip(curve.tpr.windows(2)).map(|(x, y)| (x[1] - x[0]) * (y[0] + y[1]) / 2.0).sum();
        prop_assert!(near(area, Auc(&roc).of(&vec![1; n], &mut (), &Threads::one())));
    }
}

#[test]
fn every_precision_is_read_exactly() {
    let values: Vec<f64> = (0..200 * 66).map(|i| f64::from(i * 37 % 1001 - 500) / 64.0).collect();
    let narrow: Vec<f32> = values.iter().map(|&x| x as f32).collect();
    let half: Vec<f16> = values.iter().map(|&x| f16::from_f64(x)).collect();
    let one = Threads::one();
    let wide = phi(&values, 66);
    let member: Vec<bool> = (0..values.len()).map(|k| k % 7 < 3).collect();
    let wanted = lira(&wide, &member, &phi(&values[..66], 66), Variance::Example, true, &one).unwrap();
    for same in [Logits::F32(&narrow), Logits::F16(&half)] {
        let same = Phi::new("phi", same, 200, 66).unwrap();
        let found = lira(&same, &member, &phi(&values[..66], 66), Variance::Example, true, &one).unwrap();
        assert_eq!(found, wanted);
        assert_eq!(klom(&same, &wide, 20, 1e-5, &one).unwrap(), vec![0.0; 66]);
        assert_eq!(epsilon(&same, &wide, 0.0, &one).unwrap(), epsilon(&wide, &wide, 0.0, &one).unwrap());
    }
}

#[test]
fn bad_input_is_named() {
    let one = Threads::one();
    let mut values = vec![0.5; 6];
    for bad in [f64::NAN, f64::INFINITY, -1e151] {
        values[4] = bad;
        let message = lira(&phi(&values, 3), &[true; 6], &phi(&[0.0; 3], 3), Variance::Pooled, true, &one).unwrap_err();
        assert_eq!(message.to_string(), "phi: NaN, infinite or above 1e150 in size for model 1, example 1");
        assert!(lira(&phi(&[0.5; 6], 3), &[true; 6], &phi(&values[3..], 3), Variance::Example, true, &one).is_err());
        assert!(epsilon(&phi(&[0.5; 6], 3), &phi(&values, 3), 0.0, &one).is_err());
    }
    let message = epsilon(&phi(&[0.5; 6], 3), &phi(&[0.5; 6], 2), 0.0, &one).unwrap_err().to_string();
    assert_eq!(message, "phi: expected shape (3, 3) to match phi, got (3, 2)");
    let few = [0.5; 63 * 2];
    let message = klom(&phi(&few, 2), &phi(&few, 2), 20, 1e-5, &one).unwrap_err().to_string();
    assert!(message.starts_with("not available from 63 unlearned and 63 oracle models: expected at least 64"));
    assert!(Roc::new(&[0.5], &[true], &one).is_err());
    let message =
        Sweep::new(&Roc::new(&[0.5, 1.0], &[true, false], &one).unwrap(), &[f64::NAN]).unwrap_err().to_string();
    assert_eq!(message, "thresholds: 1 of 1 values are NaN, the first at position 0; leave them out first");
    assert!(Phi::new("phi", Logits::F64(&values), 2, 4).is_err());
    assert!(Phi::new("phi", Logits::F64(&values), usize::MAX, 4).is_err());
}
