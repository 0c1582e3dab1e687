//! Whatever happens to a file, reading it gives what was written or an error that names the file; never a panic.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use proptest::sample::Index;
use safetensors::Dtype;
use unmemorize::bits::BitMatrix;
use unmemorize::error::Error;
use unmemorize::events::{Batch, LearningEvents, Mode};
use unmemorize::logits::Logits;
use unmemorize::parallel::Threads;
use unmemorize::tensors::Tensors;

fn events() -> LearningEvents {
    let mut events = LearningEvents::new(3, Mode::Train).unwrap();
    let batch = Batch { ids: &[0, 2], logits: Logits::F32(&[1.0, -1.0, 0.5, 2.0]), classes: 2, labels: &[0, 0] };
    events.update(&batch, Some(4), &Threads::one()).unwrap();
    events
}

fn must_be_damaged<T>(found: Result<T, Error>, path: &Path, what: &str) {
    match found {
        Err(Error::Damaged { path: named, .. }) => assert_eq!(named, path.display().to_string(), "{what}"),
        Err(other) => panic!("{what}: {other}"),
        Ok(_) => panic!("{what}: read as if it were whole"),
    }
}

#[test]
fn every_cut_and_every_flipped_byte_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let (good, bad) = (folder.path().join("good"), folder.path().join("bad"));
    events().save(&good).unwrap();
    assert_eq!(LearningEvents::load(&good).unwrap(), events());
    let bytes = fs::read(&good).unwrap();
    for len in 0..bytes.len() {
        fs::write(&bad, &bytes[..len]).unwrap();
        must_be_damaged(LearningEvents::load(&bad), &bad, &format!("cut to {len} bytes"));
    }
    for place in 0..bytes.len() {
        let mut bytes = bytes.clone();
        bytes[place] ^= 0x11;
        fs::write(&bad, &bytes).unwrap();
        must_be_damaged(LearningEvents::load(&bad), &bad, &format!("byte {place} of {}", bytes.len()));
    }
}

#[test]
fn another_kind_of_file_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events");
    events().save(&path).unwrap();
    let message = BitMatrix::load(&path).unwrap_err().to_string();
    assert!(
        message.ends_with("expected format 'unmemorize.BitMatrix/1', got 'unmemorize.LearningEvents/1'"),
        "{message}"
    );
    let missing = folder.path().join("missing");
    assert!(matches!(LearningEvents::load(&missing), Err(Error::Io { .. })));
}

#[test]
fn a_write_that_fails_leaves_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("taken"); // a folder cannot be replaced by a file
    fs::create_dir(&path).unwrap();
    assert!(matches!(events().save(&path), Err(Error::Io { .. })));
    assert!(path.is_dir());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "the temporary file is gone");
}

/// Rows and columns as settings, shape and bytes of the words, and what is said of it.
type Lie<'a> = (&'a str, &'a str, &'a [usize], &'a [u8], &'a str);

/// Writes a file that is whole, checksum and all, but whose contents nobody would write.
fn lie(
    path: &Path,
    format: &'static str,
    settings: &[(&'static str, &str)],
    arrays: &[(&'static str, Dtype, &[usize], &[u8])],
) {
    let settings = settings.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
    let arrays = arrays.iter().map(|(name, dtype, shape, bytes)| (*name, *dtype, shape.to_vec(), *bytes)).collect();
    Tensors { format, settings, arrays }.save(path).unwrap();
}

#[test]
fn lengths_that_lie_are_found_before_memory_is_asked_for() {
    const MANY: &str = "18446744073709551615"; // 2^64 - 1
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bits");
    let word = [255; 8];
    let cases: [Lie<'_>; 8] = [
        (MANY, "0", &[usize::MAX, 0], &[], "has more elements than memory can hold"),
        ("1099511627776", "0", &[1 << 40, 0], &[], "has more elements than memory can hold"),
        (MANY, "64", &[1, 1], &word, "expected U64 of shape [18446744073709551615, 1], got U64 of shape [1, 1]"),
        ("1", MANY, &[1, 1], &word, "expected U64 of shape [1, 288230376151711744], got U64 of shape [1, 1]"),
        ("-1", "64", &[1, 1], &word, "setting 'rows' is '-1'"),
        ("1", "6.4e1", &[1, 1], &word, "setting 'columns' is '6.4e1'"),
        ("1", "63", &[1, 1], &word, "bits beyond the last of 63 columns are set"),
        ("2", "64", &[1, 1], &word, "expected U64 of shape [2, 1], got U64 of shape [1, 1]"),
    ];
    for (rows, columns, shape, bytes, message) in cases {
        let settings = [("rows", rows), ("columns", columns)];
        lie(&path, "unmemorize.BitMatrix/1", &settings, &[("words", Dtype::U64, shape, bytes)]);
        let found = BitMatrix::load(&path).unwrap_err();
        assert!(matches!(&found, Error::Damaged { problem, .. } if problem.contains(message)), "{found}");
    }
    lie(&path, "unmemorize.BitMatrix/1", &[("columns", "64")], &[]);
    assert!(BitMatrix::load(&path).unwrap_err().to_string().ends_with("no setting 'rows'"));
    for n in [MANY, "4"] {
        let settings = [("n_examples", n), ("mode", "train"), ("epochs", "named")];
        lie(&path, "unmemorize.LearningEvents/1", &settings, &[("confidence", Dtype::F64, &[0], &[])]);
        let message = LearningEvents::load(&path).unwrap_err().to_string();
        assert!(message.contains("array 'confidence': expected F64 of shape"), "{message}");
    }
}

#[test]
fn records_that_contradict_themselves_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events");
    let sums = ["confidence", "max_confidence", "entropy", "loss", "margin", "el2n", "spread"];
    let counts = ["seen", "right", "forgotten", "learned", "first", "last"];
    // seen, right, forgotten, learned, first and last (epoch and whether it was right), and the sums
    let cases: [([u32; 6], f64, &str, &str); 6] = [
        ([0, 0, 0, u32::MAX, 0, 0], 0.5, "named", "the record of example 0 contradicts itself"), // sums of nothing
        ([1, 2, 0, 0, 1, 1], 0.5, "named", "the record of example 0 contradicts itself"),        // right too often
        ([2, 1, 0, 9, 1, 4], 0.5, "named", "the record of example 0 contradicts itself"), // learned after the end
        ([2, 1, 0, 0, 8, 4], 0.5, "named", "the record of example 0 contradicts itself"), // ends before it begins
        ([1, 0, 0, u32::MAX, u32::MAX, u32::MAX], 0.5, "named", "the record of example 0 contradicts itself"),
        ([1, 1, 0, 0, 1, 1], 0.5, "sometimes", "setting 'epochs' is unknown"),
    ];
    for (record, sum, epochs, message) in cases {
        let (sum, record) = (sum.to_le_bytes(), record.map(u32::to_le_bytes));
        let mut arrays: Vec<(&str, Dtype, &[usize], &[u8])> = vec![];
        arrays.extend(sums.iter().map(|name| (*name, Dtype::F64, &[1][..], &sum[..])));
        arrays.extend(counts.iter().zip(&record).map(|(name, value)| (*name, Dtype::U32, &[1][..], &value[..])));
        let settings = [("n_examples", "1"), ("mode", "train"), ("epochs", epochs)];
        lie(&path, "unmemorize.LearningEvents/1", &settings, &arrays);
        let found = LearningEvents::load(&path).unwrap_err().to_string();
        assert!(found.ends_with(message), "{found}");
    }
}

/// One thing that can happen to a file.
#[derive(Debug, Clone)]
enum Damage {
    Set(Index, u8),
    Insert(Index, u8),
    Remove(Index),
    Repeat(Index, Index),
}

fn damages() -> impl Strategy<Value = Damage> {
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Insert(at, byte)),
        any::<Index>().prop_map(Damage::Remove),
        (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Damage::Repeat(from, to)),
    ]
}

fn damage(bytes: &mut Vec<u8>, what: &Damage) {
    match what {
        _ if bytes.is_empty() => {}
        Damage::Set(at, byte) => *at.get_mut(bytes) = *byte,
        Damage::Insert(at, byte) => bytes.insert(at.index(bytes.len()), *byte),
        Damage::Remove(at) => {
            bytes.remove(at.index(bytes.len()));
        }
        Damage::Repeat(from, to) => {
            let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
            bytes.extend_from_within(from.min(to)..from.max(to));
        }
    }
}

proptest! {
    #[test]
    fn a_mutated_file_is_damaged_or_the_same(what in proptest::collection::vec(damages(), 1..6)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mutated");
        let matrix = BitMatrix::pack(&[true; 90], 3, 30, &Threads::one()).unwrap();
        events().save(&path).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        for what in &what {
            damage(&mut bytes, what);
        }
        fs::write(&path, &bytes).unwrap();
        match LearningEvents::load(&path) {
            Ok(found) => prop_assert_eq!(found, events()),
            Err(error) => prop_assert!(matches!(error, Error::Damaged { .. }), "{}", error),
        }
        matrix.save(&path).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        for what in &what {
            damage(&mut bytes, what);
        }
        fs::write(&path, &bytes).unwrap();
        match BitMatrix::load(&path) {
            Ok(found) => prop_assert_eq!(found, matrix),
            Err(error) => prop_assert!(matches!(error, Error::Damaged { .. }), "{}", error),
        }
    }

    #[test]
    fn noise_is_never_a_file(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("noise");
        fs::write(&path, bytes).unwrap();
        must_be_damaged(LearningEvents::load(&path), &path, "noise");
        must_be_damaged(BitMatrix::load(&path), &path, "noise");
    }
}
