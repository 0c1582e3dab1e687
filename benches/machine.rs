//! What the machine can do at most: copy memory, and count ones that are in the first cache already.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use unmemorize::parallel::{Threads, available};
use unmemorize::simd::{Kernel, Unit, count, dispatch};

const BYTES: usize = 256 << 20;
const WORDS: usize = 1 << 11; // 16 KiB
const PASSES: usize = 1 << 14;

/// The ones of a row, counted `PASSES` times.
struct Passes<'a>(&'a [u64]);

impl Kernel for Passes<'_> {
    type Output = u64;
    #[inline(always)]
    fn run<U: Unit>(self) -> u64 {
        (0..PASSES).map(|_| count(black_box(self.0))).sum()
    }
}

fn machine(c: &mut Criterion) {
    let threads = Threads::new(available()).expect("this machine has threads");
    let mut group = c.benchmark_group("machine");
    group.sample_size(20).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));

    let (from, mut to) = (vec![1_u8; BYTES], vec![0_u8; BYTES]);
    let chunk = BYTES / threads.count();
    group.throughput(Throughput::Bytes(2 * BYTES as u64)); // read and written
    group.bench_function("copy", |b| {
        b.iter(|| {
            threads.for_each_chunk(&mut to, chunk, |start, part| part.copy_from_slice(&from[start..][..part.len()]));
        });
    });

    let rows = vec![vec![!0_u64; WORDS]; threads.count()];
    group.throughput(Throughput::Elements((threads.count() * PASSES * WORDS) as u64));
    group.bench_function("words counted", |b| {
        b.iter(|| threads.map(rows.len(), |t| dispatch(Passes(&rows[t]))));
    });
    group.finish();
}

criterion_group!(benches, machine);
criterion_main!(benches);
