//! One epoch of learning events in one call, and one batch as a training step hands it over; throughput in logits.
//! What a tracker answers and how two become one; throughput in examples.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use half::{bf16, f16};
use std::hint::black_box;
use unmemorize::events::{Batch, LearningEvents, Mode};
use unmemorize::logits::Logits;
use unmemorize::parallel::{Threads, available};
use unmemorize::resample::SplitMix64;

const N: usize = 50_000; // examples that are tracked

fn events(c: &mut Criterion) {
    let threads = Threads::new(available()).expect("this machine has threads");
    let mut group = c.benchmark_group("events");
    group.sample_size(20);
    for (rows, classes) in [(128, 10), (N, 10), (N, 100), (5_000, 1000)] {
        let random = SplitMix64::new(0, 0);
        let noise = |i: usize| (random.below(i as u64, 1 << 16) as f32) / 4096.0 - 8.0;
        let f32s: Vec<f32> = (0..rows * classes).map(noise).collect();
        let f64s: Vec<f64> = f32s.iter().map(|&x| x.into()).collect();
        let f16s: Vec<f16> = f32s.iter().map(|&x| f16::from_f32(x)).collect();
        let bf16s: Vec<bf16> = f32s.iter().map(|&x| bf16::from_f32(x)).collect();
        let ids: Vec<i64> = (0..rows).map(|i| ((i * 7919 % rows) as u64).cast_signed()).collect();
        let labels: Vec<i64> = (0..rows).map(|i| ((i % classes) as u64).cast_signed()).collect();
        let all = [
            ("f32", Logits::F32(&f32s)),
            ("f64", Logits::F64(&f64s)),
            ("f16", Logits::F16(&f16s)),
            ("bf16", Logits::Bf16(&bf16s)),
        ];
        group.throughput(Throughput::Elements((rows * classes) as u64));
        for (name, logits) in all {
            let batch = Batch { ids: &ids, logits, classes, labels: &labels };
            let mut tracker = LearningEvents::new(rows, Mode::Train).expect("memory");
            group.bench_function(BenchmarkId::new(name, format!("{rows}x{classes}")), |b| {
                b.iter(|| tracker.update(black_box(&batch), None, &threads));
            });
        }
    }

    let [mut one, other] = [0, 1].map(|_| LearningEvents::new(N, Mode::Train).expect("memory"));
    group.throughput(Throughput::Elements(N as u64));
    group.bench_function("scores", |b| b.iter(|| black_box(&one).scores(&threads)));
    group.bench_function("merge", |b| b.iter(|| one.merge(black_box(&other), &threads)));
    group.finish();
}

criterion_group!(benches, events);
criterion_main!(benches);
