//! Memorization and influence of 400 models; throughput in (model, example) or (model, example, test) triples.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use half::f16;
use std::hint::black_box;
use unmemorize::bits::BitMatrix;
use unmemorize::ensemble::influence::{By, influence, influence_std_error, influence_topk};
use unmemorize::ensemble::out_of_sample::OutOfSample;
use unmemorize::ensemble::soft::SoftMemorization;
use unmemorize::ensemble::{c_score, memorization, reliability};
use unmemorize::logits::Logits;
use unmemorize::parallel::{Threads, available};
use unmemorize::resample::SplitMix64;

const MODELS: usize = 400;
const N: usize = 50_000;
const TRAIN: usize = 5_000; // for influence
const TEST: usize = 1_000;
const CLASSES: usize = 10;

fn bits(columns: usize, share: usize, threads: &Threads) -> BitMatrix {
    let random = SplitMix64::new(columns as u64, share as u64);
    let values: Vec<bool> = (0..(MODELS * columns) as u64).map(|i| random.below(i, 100) < share).collect();
    BitMatrix::pack(&values, MODELS, columns, threads).expect("the shape fits")
}

fn ensemble(c: &mut Criterion) {
    let threads = Threads::new(available()).expect("this machine has threads");
    let (member, correct) = (bits(N, 70, &threads), bits(N, 80, &threads));
    let (few, test) = (bits(TRAIN, 70, &threads), bits(TEST, 80, &threads));

    let mut group = c.benchmark_group("ensemble");
    group.sample_size(10);
    group.throughput(Throughput::Elements((MODELS * N) as u64));
    group.bench_function("memorization", |b| {
        b.iter(|| memorization(black_box(&member), &correct, false, &threads));
    });
    group.bench_function("c_score", |b| b.iter(|| c_score(black_box(&member), &correct, &threads)));
    group.bench_function("reliability, 4 halvings", |b| {
        b.iter(|| reliability(black_box(&member), &correct, 4, 0, &threads));
    });
    group.throughput(Throughput::Elements((MODELS * TRAIN * TEST) as u64));
    let mut dense = vec![0.0; TRAIN * TEST];
    group.bench_function("influence", |b| b.iter(|| influence(black_box(&few), &test, 0, &mut dense, &threads)));
    group.bench_function("influence, top 100", |b| {
        b.iter(|| influence_topk(black_box(&few), &test, 100, By::Value, &threads));
    });

    let seen = vec![false; N];
    let probs = vec![f16::from_f32(0.1); N * CLASSES];
    let mut gathered = OutOfSample::new(N, CLASSES).expect("memory");
    group.throughput(Throughput::Elements((N * CLASSES) as u64));
    group.bench_function("out of sample, one model, f16", |b| {
        b.iter(|| gathered.add(black_box(&seen), Logits::F16(&probs), &threads));
    });
    let mut sure = SoftMemorization::new(N).expect("memory");
    group.throughput(Throughput::Elements(N as u64));
    group.bench_function("soft memorization, one model, f16", |b| {
        b.iter(|| sure.add(black_box(&seen), Logits::F16(&probs[..N]), 1, &threads));
    });
    group.throughput(Throughput::Elements((TRAIN * TEST) as u64));
    group.bench_function("errors of influence", |b| {
        b.iter(|| influence_std_error(black_box(&few), &test, None, &threads));
    });
    group.finish();
}

criterion_group!(benches, ensemble);
criterion_main!(benches);
