//! Whatever happens to a file, reading it gives what was written or an error that names the file; never a panic.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use unmemorize::bits::BitMatrix;
use unmemorize::error::Error;
use unmemorize::events::{Batch, LearningEvents, Mode};
use unmemorize::logits::Logits;
use unmemorize::parallel::Threads;

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

proptest! {
    #[test]
    fn noise_is_never_a_file(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("noise");
        fs::write(&path, bytes).unwrap();
        must_be_damaged(LearningEvents::load(&path), &path, "noise");
        must_be_damaged(BitMatrix::load(&path), &path, "noise");
    }
}
