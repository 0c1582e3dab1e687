//! Cutting scores into strata, against a full sort of the same scores.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use unmemorize::parallel::{Threads, available};
use unmemorize::partition::{argsort, highest, lowest, nearest, random_strata, sample, strata, strata_within};
use unmemorize::resample::SplitMix64;

const N: usize = 1_000_000;

/// Uniform scores, of which `tied` in 8 are 0: as in published memorization scores, many are equal.
fn scores(tied: u64) -> Vec<f64> {
    let random = SplitMix64::new(0, 0);
    let score = |i: u64| if i % 8 < tied { 0.0 } else { random.at(i) as f64 / 2_f64.powi(64) };
    (0..N as u64).map(score).collect()
}

fn partition(c: &mut Criterion) {
    let threads = &Threads::new(available()).unwrap();
    let mut group = c.benchmark_group("partition");
    group.throughput(Throughput::Elements(N as u64)).sample_size(20);
    let classes: Vec<i64> = (0..10).cycle().take(N).collect();
    for (name, x) in [("uniform", scores(0)), ("half tied", scores(4))] {
        group.bench_function(format!("strata, {name}"), |b| b.iter(|| strata(black_box(&x), 3, threads)));
        group.bench_function(format!("lowest 3000, {name}"), |b| b.iter(|| lowest(black_box(&x), 3000, threads)));
        group.bench_function(format!("highest 3000, {name}"), |b| b.iter(|| highest(black_box(&x), 3000, threads)));
        group
            .bench_function(format!("nearest 3000, {name}"), |b| b.iter(|| nearest(black_box(&x), 0.5, 3000, threads)));
        group.bench_function(format!("strata in 10 groups, {name}"), |b| {
            b.iter(|| strata_within(black_box(&x), &classes, 10, 3, threads));
        });
        group.bench_function(format!("argsort, {name}"), |b| b.iter(|| argsort(black_box(&x), threads)));
    }
    group.bench_function("sample 3000", |b| b.iter(|| sample(N, 3000, black_box(0), threads)));
    group.bench_function("random strata", |b| b.iter(|| random_strata(N, 3, black_box(0), threads)));
    group.finish();
}

criterion_group!(benches, partition);
criterion_main!(benches);
