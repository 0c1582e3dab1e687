//! The order of examples by an integer key, ties by position: a radix sort of 8 bytes an example.
//!
//! What is sorted are words: the 32 highest of the bits that tell the keys apart, and the position behind them. Only
//! where that is not all of the keys, they are looked up among equal words.

use std::ops::Range;

use crate::parallel::Threads;

/// Positions in the order of their keys, and where each run of equal keys ends.
#[derive(Debug)]
pub(crate) struct Sorted {
    pub ids: Vec<u32>,
    pub ends: Vec<u32>,
}

impl Sorted {
    /// The positions 0..n, which is below 2^32. 16 bytes each, the result included.
    #[allow(clippy::cast_possible_truncation)] // n is below 2^32
    pub fn new<K: Fn(usize) -> u64 + Sync>(n: usize, key: &K, threads: &Threads) -> Self {
        let (words, exact) = words(n, key, threads);
        let same = |a: u64, b: u64| prefix(a) == prefix(b) && (exact || key(position(a)) == key(position(b)));
        let ends = threads.map_chunks(n.saturating_sub(1), CHUNK, |part| {
            part.filter(|&i| !same(words[i], words[i + 1])).map(|i| i as u32 + 1).collect::<Vec<_>>()
        });
        let mut ends = ends.concat();
        ends.extend((n > 0).then_some(n as u32));
        Self { ids: words.into_iter().map(|word| word as u32).collect(), ends }
    }

    /// The positions of each run of equal keys, in order, with pauses.
    pub fn runs(&self, threads: &Threads) -> impl Iterator<Item = &[u32]> {
        let spans = self.spans(threads);
        spans.map(|run| &self.ids[run])
    }

    /// Where each of these runs lies.
    pub fn spans(&self, threads: &Threads) -> impl Iterator<Item = Range<usize>> {
        let mut due = 0;
        self.ends.iter().scan(0, move |start, &end| {
            let run = *start..end as usize;
            if run.start >= due {
                threads.pause();
                due = run.start + CHUNK;
            }
            *start = run.end;
            Some(run)
        })
    }
}

/// The positions 0..n, which is below 2^32, in the order of their keys. 16 bytes each, the result included.
pub(crate) fn order<K: Fn(usize) -> u64 + Sync>(n: usize, key: &K, threads: &Threads) -> Vec<usize> {
    words(n, key, threads).0.into_iter().map(position).collect()
}

const POSITION: u32 = u32::BITS; // bits of a word
const CHUNK: usize = 1 << 16; // words that one thread takes at a time
const CHUNKS: usize = 64; // at most
const DIGIT: u32 = 8; // bits, at most: more streams than 2^8 are not written well
const SMALL: usize = 256; // as few words are compared with each other

#[allow(clippy::cast_possible_truncation)] // the low half
fn position(word: u64) -> usize {
    word as u32 as usize
}

fn prefix(word: u64) -> u64 {
    word >> POSITION
}

/// A word of each key, sorted, and whether the words hold all that tells the keys apart.
fn words<K: Fn(usize) -> u64 + Sync>(n: usize, key: &K, threads: &Threads) -> (Vec<u64>, bool) {
    if n == 0 {
        return (Vec::new(), true);
    }
    let first = key(0);
    let seen = threads.map_chunks(n, CHUNK, |ids| {
        ids.map(key).fold((first, first, 0), |(low, high, varying), k| (low.min(k), high.max(k), varying | (k ^ first)))
    });
    let (low, high, varying) = seen.into_iter().fold((first, first, 0), |a, b| (a.0.min(b.0), a.1.max(b.1), a.2 | b.2));
    let cut = (u64::BITS - (high - low).leading_zeros()).saturating_sub(POSITION);
    let mut words = vec![0; n];
    threads.for_each_chunk(&mut words, CHUNK, |start, words| {
        for (word, i) in words.iter_mut().zip(start..) {
            *word = (key(i) - low) >> cut << POSITION | i as u64;
        }
    });
    let exact = varying & ((1 << cut) - 1) == 0;
    Radix { key, exact, threads }.sort(&mut words, &mut vec![0; n], false);
    (words, exact)
}

/// The most significant bits that words differ in.
#[derive(Clone, Copy)]
struct Digit {
    shift: u32,
    values: usize,
}

impl Digit {
    #[allow(clippy::cast_possible_truncation)] // below 2^8
    fn of(self, word: u64) -> usize {
        (word >> self.shift) as usize & (self.values - 1)
    }

    fn count(self, words: &[u64]) -> Vec<usize> {
        let mut counts = vec![0; self.values];
        for &word in words {
            counts[self.of(word)] += 1;
        }
        counts
    }
}

/// The key of a position; not generic, so that the sort is compiled once.
type Key<'a> = &'a (dyn Fn(usize) -> u64 + Sync);

struct Radix<'a> {
    key: Key<'a>,
    exact: bool,
    threads: &'a Threads,
}

impl Radix<'_> {
    /// Sorts `words` with `other` for working memory, where the result is if it is to be `moved`.
    fn sort(&self, words: &mut [u64], other: &mut [u64], moved: bool) {
        let Some(digit) = self.digit(words) else {
            self.finish(words);
            if moved {
                other.copy_from_slice(words);
            }
            return;
        };
        let sizes = self.scatter(words, other, digit);
        let (mut words, mut other) = (words, other);
        let buckets =
            sizes.into_iter().map_while(|size| Some((other.split_off_mut(..size)?, words.split_off_mut(..size)?)));
        if digit.values == 1 << DIGIT {
            self.threads.each(buckets.collect(), |(from, to)| self.sort(from, to, !moved));
        } else {
            buckets.for_each(|(from, to)| self.sort(from, to, !moved));
        }
    }

    /// What to sort by next; None if there are few words, or no prefix differs.
    fn digit(&self, words: &[u64]) -> Option<Digit> {
        if words.len() <= SMALL {
            return None;
        }
        let differ = |part: &[u64]| part.iter().fold(0, |varying, word| varying | (word ^ words[0]));
        let varying = self.threads.map_chunks(words.len(), CHUNK, |part| differ(&words[part]));
        let varying = prefix(varying.into_iter().fold(0, |a, b| a | b));
        let bits = (words.len().ilog2() - 2).min(DIGIT);
        let width = u64::BITS - varying.leading_zeros();
        (varying != 0).then(|| Digit { shift: POSITION + width.saturating_sub(bits), values: 1 << bits })
    }

    /// Writes `words` to `other` in the order of a digit. Returns how many there are of each value.
    fn scatter(&self, words: &[u64], other: &mut [u64], digit: Digit) -> Vec<usize> {
        let chunk = words.len().div_ceil(CHUNKS).max(CHUNK);
        let counts = self.threads.map_chunks(words.len(), chunk, |part| digit.count(&words[part]));
        let mut places: Vec<_> = counts.iter().map(|_| Vec::with_capacity(digit.values)).collect();
        let mut rest = other;
        for value in 0..digit.values {
            for (counts, places) in counts.iter().zip(&mut places) {
                places.push(rest.split_off_mut(..counts[value]).unwrap_or_default().iter_mut());
            }
        }
        self.threads.each(words.chunks(chunk).zip(places).collect(), |(words, mut places)| {
            for &word in words {
                if let Some(place) = places[digit.of(word)].next() {
                    *place = word;
                }
            }
        });
        (0..digit.values).map(|value| counts.iter().map(|counts| counts[value]).sum()).collect()
    }

    /// Sorts few words, or words with one prefix.
    fn finish(&self, words: &mut [u64]) {
        words.sort_unstable();
        if self.exact {
            return;
        }
        for run in words.chunk_by_mut(|&a, &b| prefix(a) == prefix(b)) {
            let key = |word: u64| (self.key)(position(word));
            if run.len() > 1 && run.iter().any(|&word| key(word) != key(run[0])) {
                let mut pairs: Vec<_> = run.iter().map(|&word| (key(word), word)).collect();
                self.threads.sort_by(&mut pairs, Ord::cmp);
                run.iter_mut().zip(pairs).for_each(|(word, pair)| *word = pair.1);
            }
        }
    }
}
