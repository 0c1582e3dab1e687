//! Bit matrices hold what was put in, whatever the shape.

use proptest::prelude::*;
use unmemorize::bits::BitMatrix;
use unmemorize::parallel::Threads;

fn matrices() -> impl Strategy<Value = (usize, usize, Vec<bool>)> {
    (0..140_usize, 0..140_usize).prop_flat_map(|(rows, columns)| {
        proptest::collection::vec(any::<bool>(), rows * columns).prop_map(move |values| (rows, columns, values))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn unpack_inverts_pack((rows, columns, values) in matrices(), count in 1..4_usize) {
        let threads = Threads::new(count).unwrap();
        let packed = BitMatrix::pack(&values, rows, columns, &threads).unwrap();
        prop_assert_eq!(packed.unpack(&threads).unwrap(), values.clone());
        let ones: i64 = packed.counts(&threads).iter().sum();
        prop_assert_eq!(usize::try_from(ones).unwrap(), values.iter().filter(|&&x| x).count());
        prop_assert_eq!(BitMatrix::from_packed(&packed.packed(), rows, columns).unwrap(), packed);
    }

    #[test]
    fn transposing_moves_every_bit((rows, columns, values) in matrices(), count in 1..4_usize) {
        let threads = Threads::new(count).unwrap();
        let packed = BitMatrix::pack(&values, rows, columns, &threads).unwrap();
        let turned = packed.transpose(&threads).unwrap();
        prop_assert_eq!(turned.shape(), (columns, rows));
        for i in 0..rows {
            for j in 0..columns {
                prop_assert_eq!(turned.get(j, i), values[i * columns + j]);
            }
        }
        prop_assert_eq!(turned.transpose(&threads).unwrap(), packed);
    }

    #[test]
    fn a_file_holds_the_same_bits((rows, columns, values) in matrices()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("member.safetensors");
        let packed = BitMatrix::pack(&values, rows, columns, &Threads::one()).unwrap();
        packed.save(&path).unwrap();
        prop_assert_eq!(BitMatrix::load(&path).unwrap(), packed);
    }
}

#[test]
fn errors_name_both_sides() {
    let one = Threads::one();
    let message = BitMatrix::pack(&[true; 5], 2, 3, &one).unwrap_err().to_string();
    assert_eq!(message, "values: expected 6 values to match rows * columns, got 5");
    let message = BitMatrix::zeros(usize::MAX, 100).unwrap_err().to_string();
    assert!(message.ends_with("has more elements than memory can hold"), "{message}");
    for shape in [(usize::MAX, 0), (1 << 40, 0), (1 << 30, 1 << 20)] {
        let message = BitMatrix::zeros(shape.0, shape.1).unwrap_err().to_string();
        assert_eq!(message, format!("bits: shape {shape:?} has more elements than memory can hold"));
    }
    let message = BitMatrix::from_packed(&[0xFF], 1, 7).unwrap_err().to_string();
    assert_eq!(message, "packed: bits beyond the last of 7 columns are set");
    let (a, b) = (BitMatrix::zeros(2, 3).unwrap(), BitMatrix::zeros(3, 2).unwrap());
    let message = a.same_shape("member", &b, "correct").unwrap_err().to_string();
    assert_eq!(message, "correct: expected shape (2, 3) to match member, got (3, 2)");
}
