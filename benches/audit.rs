//! Audits of CIFAR-10's size; throughput in φ, pairs or scores.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use unmemorize::audit::Phi;
use unmemorize::audit::epsilon::{epsilon, intervals};
use unmemorize::audit::klom::klom;
use unmemorize::audit::lira::{Variance, lira, u_lira};
use unmemorize::audit::rmia::{Probabilities, rmia};
use unmemorize::audit::roc::{Auc, Roc, TprAt};
use unmemorize::audit::tow::Tow;
use unmemorize::logits::Logits;
use unmemorize::parallel::{Threads, available};
use unmemorize::proportion::clopper_pearson;
use unmemorize::resample::{Bootstrap, SplitMix64};

const N: usize = 50_000;
const POPULATION: usize = 10_000;
const REFERENCES: usize = 256;
const MODELS: usize = 100; // on each side
const RESAMPLES: usize = 100;

/// Uniform in [0, 1).
fn random(len: usize, seed: u64) -> Vec<f64> {
    let stream = SplitMix64::new(seed, 0);
    (0..len as u64).map(|i| (stream.at(i) >> 11) as f64 / (1_u64 << 53) as f64).collect()
}

#[allow(clippy::cast_possible_truncation)] // what an ensemble stores
fn phi(models: usize, seed: u64) -> Vec<f32> {
    random(models * N, seed).into_iter().map(|x| (x / (1.0 - x)).ln() as f32).collect()
}

fn view(values: &[f32]) -> Phi<'_> {
    Phi::new("phi", Logits::F32(values), values.len() / N, N).expect("whole rows")
}

fn audit(c: &mut Criterion) {
    let threads = Threads::new(available()).expect("this machine has threads");
    let mut group = c.benchmark_group("audit");
    group.sample_size(10);

    let (references, target) = (phi(REFERENCES, 0), phi(1, 1));
    let member: Vec<bool> = random(REFERENCES * N, 2).into_iter().map(|x| x < 0.7).collect();
    group.throughput(Throughput::Elements((REFERENCES * N) as u64));
    for (name, variance) in [("lira, pooled", Variance::Pooled), ("lira, example", Variance::Example)] {
        group.bench_function(name, |b| {
            b.iter(|| lira(black_box(&view(&references)), &member, &view(&target), variance, true, &threads));
        });
    }
    drop((references, member));

    let (unlearned, oracle) = (phi(MODELS, 3), phi(MODELS, 4));
    let (unlearned, oracle) = (view(&unlearned), view(&oracle));
    group.throughput(Throughput::Elements((2 * MODELS * N) as u64));
    group.bench_function("u_lira", |b| {
        b.iter(|| u_lira([black_box(&unlearned), &oracle], [None, None], Variance::Pooled, &threads));
    });
    group.bench_function("klom", |b| b.iter(|| klom(black_box(&unlearned), &oracle, 20, 1e-5, &threads)));
    group.bench_function("epsilon", |b| b.iter(|| epsilon(black_box(&unlearned), &oracle, 1e-5, &threads)));
    let few = Bootstrap { level: 0.95, resamples: 10, seed: 0 };
    group.throughput(Throughput::Elements((few.resamples * 2 * MODELS * N) as u64));
    group.bench_function("epsilon, 10 resamples", |b| {
        b.iter(|| intervals(black_box(&unlearned), &oracle, 1e-5, &few, &threads));
    });

    let positive = |len, seed| random(len, seed).into_iter().map(|x| 1.0 - x).collect::<Vec<_>>();
    let (p, q, z, w) = (random(N, 5), positive(N, 6), random(POPULATION, 7), positive(POPULATION, 8));
    let examples = Probabilities { target: &p, reference: &q };
    let population = Probabilities { target: &z, reference: &w };
    group.throughput(Throughput::Elements((N * POPULATION) as u64));
    group.bench_function("rmia", |b| b.iter(|| rmia(black_box(examples), population, 2.0, Some(0.3), &threads)));

    let is_member: Vec<bool> = (0..N).map(|i| i % 2 == 0).collect();
    group.throughput(Throughput::Elements(N as u64));
    group.bench_function("roc", |b| {
        b.iter(|| Roc::new(black_box(&p), &is_member, &threads).map(|roc| roc.curve(&threads)));
    });
    let roc = Roc::new(&p, &is_member, &threads).expect("both kinds");
    let bootstrap = Bootstrap { level: 0.95, resamples: RESAMPLES, seed: 0 };
    group.throughput(Throughput::Elements((RESAMPLES * N) as u64));
    group.bench_function("auc, 100 resamples", |b| b.iter(|| bootstrap.of(black_box(&Auc(&roc)), &threads)));
    group.bench_function("tpr at 1%, 100 resamples", |b| {
        b.iter(|| bootstrap.of(black_box(&TprAt { roc: &roc, fpr: 0.01 }), &threads));
    });
    let difference: Vec<i8> = p.iter().map(|x| i8::from(*x < 0.1) - i8::from(*x > 0.9)).collect();
    let tow = Tow { difference: &difference, ends: &[3_000, 40_000, N] };
    group.bench_function("tow, 100 resamples", |b| b.iter(|| bootstrap.of(black_box(&tow), &threads)));

    let every: Vec<i64> = (0_i64..).take(N / 2).collect();
    group.throughput(Throughput::Elements(every.len() as u64));
    group.bench_function("clopper-pearson", |b| {
        b.iter(|| clopper_pearson(black_box(&every), N / 2, 0.95, &threads));
    });
    group.finish();
}

criterion_group!(benches, audit);
criterion_main!(benches);
