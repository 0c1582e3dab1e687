//! Bit matrices of 400 models x 50,000 examples.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use unmemorize::bits::BitMatrix;
use unmemorize::parallel::{Threads, available};
use unmemorize::resample::SplitMix64;

const MODELS: usize = 400;
const N: usize = 50_000;

fn bits(c: &mut Criterion) {
    let threads = Threads::new(available()).expect("this machine has threads");
    let random = SplitMix64::new(0, 0);
    let values: Vec<bool> = (0..(MODELS * N) as u64).map(|i| random.below(i, 10) < 7).collect();
    let packed = BitMatrix::pack(&values, MODELS, N, &threads).expect("the shape fits");

    let mut group = c.benchmark_group("bits");
    group.throughput(Throughput::Elements((MODELS * N) as u64)).sample_size(20);
    group.bench_function("pack", |b| b.iter(|| BitMatrix::pack(black_box(&values), MODELS, N, &threads)));
    group.bench_function("unpack", |b| b.iter(|| black_box(&packed).unpack(&threads)));
    group.bench_function("transpose", |b| b.iter(|| black_box(&packed).transpose(&threads)));
    group.bench_function("counts", |b| b.iter(|| black_box(&packed).counts(&threads)));
    group.finish();
}

criterion_group!(benches, bits);
criterion_main!(benches);
