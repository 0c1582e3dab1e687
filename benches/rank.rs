//! Correlations with their bootstrap intervals and p-values: 50,000 pairs, 1,000 resamples or permutations.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use unmemorize::parallel::{Threads, available};
use unmemorize::rank::{Kendall, Pearson, Spearman, average_ranks, permutation_p, spearman_columns};
use unmemorize::resample::{Bootstrap, SplitMix64, Statistic};

const N: usize = 50_000;
const RESAMPLES: usize = 1000;
const COLUMNS: usize = 16;

/// Two scores with ties that share half of their variance.
fn pairs() -> (Vec<f64>, Vec<f64>) {
    let random = SplitMix64::new(0, 0);
    let uniform = |i: usize| random.at(i as u64) as f64 / 2_f64.powi(64);
    let round = |x: f64| (x * 1000.0).round();
    (0..N).map(|i| (round(uniform(i)), round(uniform(i) + uniform(i + N)))).unzip()
}

fn rank(c: &mut Criterion) {
    let threads = &Threads::new(available()).unwrap();
    let (x, y) = pairs();
    let mut group = c.benchmark_group("rank");
    group.throughput(Throughput::Elements(N as u64)).sample_size(10);
    group.bench_function("average ranks", |b| b.iter(|| average_ranks(black_box(&x), threads)));
    group.bench_function("spearman, no interval", |b| b.iter(|| once(&Spearman::new(&x, &y, threads).unwrap())));
    group.bench_function("kendall, no interval", |b| b.iter(|| once(&Kendall::new(&x, &y, threads).unwrap())));
    group.throughput(Throughput::Elements((N * RESAMPLES) as u64));
    let bootstrap = Bootstrap { level: 0.95, resamples: RESAMPLES, seed: 0 };
    group.bench_function("pearson", |b| b.iter(|| bootstrap.of(&Pearson::new(&x, &y, threads).unwrap(), threads)));
    group.bench_function("spearman", |b| b.iter(|| bootstrap.of(&Spearman::new(&x, &y, threads).unwrap(), threads)));
    group.bench_function("kendall", |b| b.iter(|| bootstrap.of(&Kendall::new(&x, &y, threads).unwrap(), threads)));
    for (name, ranks) in [("spearman's p, 1,000 permutations", true), ("pearson's p, 1,000 permutations", false)] {
        group.bench_function(name, |b| b.iter(|| permutation_p(black_box(&x), &y, ranks, RESAMPLES, 0, threads)));
    }
    let columns: Vec<f64> = x.iter().flat_map(|&x| (0..COLUMNS).map(move |k| (x / (k + 1) as f64).round())).collect();
    let few = Bootstrap { resamples: 10, ..bootstrap };
    group.throughput(Throughput::Elements((N * COLUMNS * 10) as u64));
    group.bench_function("spearman of 16 columns, 10 resamples", |b| {
        b.iter(|| spearman_columns(black_box(&columns), COLUMNS, &y, &few, threads));
    });
    group.finish();
}

fn once<S: Statistic>(statistic: &S) -> f64 {
    statistic.of(black_box(&vec![1; N]), &mut S::Scratch::default(), &Threads::one())
}

criterion_group!(benches, rank);
criterion_main!(benches);
