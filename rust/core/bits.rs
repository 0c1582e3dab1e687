//! Boolean matrices, one bit an element.

use std::ops::Range;
use std::path::Path;

use safetensors::Dtype;
use zerocopy::FromZeros;

use crate::error::Error;
use crate::parallel::Threads;
use crate::simd::{self, Kernel, Unit};
use crate::tensors::{Loaded, Tensors, damaged};

mod words;

pub use words::transpose_square;
use words::{Pack, Transpose, Unpack};

const FORMAT: &str = "unmemorize.BitMatrix/1";
/// Bits in a word.
pub const BITS: usize = u64::BITS as usize;
/// Rows of 64-bit words that one piece of parallel work covers.
const CHUNK: usize = 1 << 14;
/// A matrix without columns has no bits that could vouch for its rows: no more of them than this.
const MOST_ROWS: usize = 1 << 28;

/// A matrix of bits, row by row; every row starts at a new word. Unused bits of a row's last word are 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BitMatrix {
    rows: usize,
    columns: usize,
    stride: usize, // words in a row
    words: Vec<u64>,
}

impl BitMatrix {
    /// All bits 0.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if the number of elements overflows.
    pub fn zeros(rows: usize, columns: usize) -> Result<Self, Error> {
        let stride = columns.div_ceil(BITS);
        let len =
            rows.checked_mul(stride).filter(|n| n.checked_mul(BITS).is_some() && (columns > 0 || rows <= MOST_ROWS));
        let words = len.and_then(zeroed).ok_or(Error::TooLarge { name: "bits", shape: (rows, columns) })?;
        Ok(Self { rows, columns, stride, words })
    }

    /// One bit for each value of a row-major matrix: whether it is not 0.
    ///
    /// # Errors
    /// If `values` has not `rows * columns` elements.
    pub fn pack<T: Copy + Into<u8> + Sync>(
        values: &[T],
        rows: usize,
        columns: usize,
        threads: &Threads,
    ) -> Result<Self, Error> {
        let mut packed = Self::zeros(rows, columns)?;
        Error::check_length("values", values.len(), rows * columns, "rows * columns")?;
        packed.for_each_row(threads, |i, row| {
            let values = &values[i * columns..(i + 1) * columns];
            simd::dispatch(Pack { values, row });
        });
        Ok(packed)
    }

    /// The matrix as one `bool` an element, row by row.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if there is no memory for them.
    pub fn unpack(&self, threads: &Threads) -> Result<Vec<bool>, Error> {
        let mut out = zeroed(self.rows * self.columns).ok_or(Error::TooLarge { name: "bits", shape: self.shape() })?;
        if out.is_empty() {
            return Ok(out);
        }
        let rows = (CHUNK / self.columns).max(1);
        threads.for_each_chunk(&mut out, rows * self.columns, |start, part| {
            for (k, values) in part.chunks_mut(self.columns).enumerate() {
                simd::dispatch(Unpack { row: self.row(start / self.columns + k), values });
            }
        });
        Ok(out)
    }

    /// From rows of bytes, the first column in the lowest bit (`numpy.packbits(.., bitorder="little")`).
    ///
    /// # Errors
    /// If `packed` has not `rows` times as many bytes as `columns` bits need, or sets bits beyond the last column.
    pub fn from_packed(packed: &[u8], rows: usize, columns: usize) -> Result<Self, Error> {
        let bytes = columns.div_ceil(8);
        let expected = rows.checked_mul(bytes).ok_or(Error::TooLarge { name: "packed", shape: (rows, columns) })?;
        Error::check_length("packed", packed.len(), expected, "rows * bytes of a row")?;
        let mut matrix = Self::zeros(rows, columns)?;
        if bytes == 0 {
            return Ok(matrix);
        }
        for (row, packed) in matrix.words.chunks_mut(matrix.stride).zip(packed.chunks(bytes)) {
            for (word, packed) in row.iter_mut().zip(packed.chunks(8)) {
                let mut bytes = [0; 8];
                bytes[..packed.len()].copy_from_slice(packed);
                *word = u64::from_le_bytes(bytes);
            }
        }
        if matrix.has_stray_bits() { Err(Error::StrayBits { columns }) } else { Ok(matrix) }
    }

    /// The inverse of [`BitMatrix::from_packed`].
    pub fn packed(&self) -> Vec<u8> {
        let bytes = self.columns.div_ceil(8);
        let mut out = vec![0; self.rows * bytes];
        for (packed, row) in out.chunks_mut(bytes.max(1)).zip(self.words.chunks(self.stride.max(1))) {
            for (packed, word) in packed.chunks_mut(8).zip(row) {
                packed.copy_from_slice(&word.to_le_bytes()[..packed.len()]);
            }
        }
        out
    }

    /// Whether bits beyond the last column are set.
    fn has_stray_bits(&self) -> bool {
        let used = self.columns % BITS;
        used > 0 && self.words.chunks(self.stride).any(|row| row.last().is_some_and(|word| word >> used != 0))
    }

    /// Ones in each row.
    pub fn counts(&self, threads: &Threads) -> Vec<i64> {
        let chunk = (CHUNK / self.stride.max(1)).max(1);
        let counts = threads.map_chunks(self.rows, chunk, |rows| simd::dispatch(Counts { matrix: self, rows }));
        counts.concat()
    }

    fn for_each_row(&mut self, threads: &Threads, f: impl Fn(usize, &mut [u64]) + Sync + Send) {
        let stride = self.stride;
        if stride == 0 {
            return;
        }
        let rows = (CHUNK / stride).max(1);
        threads.for_each_chunk(&mut self.words, rows * stride, |start, part| {
            for (k, row) in part.chunks_mut(stride).enumerate() {
                f(start / stride + k, row);
            }
        });
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Rows and columns.
    pub fn shape(&self) -> (usize, usize) {
        (self.rows, self.columns)
    }

    /// Words in a row.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// The words of row `i`.
    pub fn row(&self, i: usize) -> &[u64] {
        &self.words[i * self.stride..(i + 1) * self.stride]
    }

    /// All words, row by row.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// The bit in row `i`, column `j`.
    pub fn get(&self, i: usize, j: usize) -> bool {
        self.row(i)[j / BITS] >> (j % BITS) & 1 == 1
    }

    /// Checks that `other` has the same shape.
    ///
    /// # Errors
    /// [`Error::Shape`] naming `other` if it has not.
    pub fn same_shape(&self, name: &'static str, other: &Self, other_name: &'static str) -> Result<(), Error> {
        if self.shape() == other.shape() {
            return Ok(());
        }
        Err(Error::Shape { name: other_name, expected: self.shape(), other: name, got: other.shape() })
    }

    /// The words `word` of 64 rows from `first` on; 0 beyond the last row.
    #[inline(always)]
    pub fn square(&self, first: usize, word: usize) -> [u64; BITS] {
        let mut square = [0; BITS];
        let rows = self.words[first * self.stride..].chunks_exact(self.stride);
        for (x, row) in square.iter_mut().zip(rows) {
            *x = row[word];
        }
        square
    }

    /// Columns become rows.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if the number of elements overflows.
    pub fn transpose(&self, threads: &Threads) -> Result<Self, Error> {
        let mut out = Self::zeros(self.columns, self.rows)?;
        let stride = out.stride;
        if stride == 0 {
            return Ok(out);
        }
        // 64 rows of the result are one column of words here.
        threads.for_each_chunk(&mut out.words, BITS * stride, |start, part| {
            let word = start / (BITS * stride);
            for (block, first) in (0..self.rows).step_by(BITS).enumerate() {
                let mut square = self.square(first, word);
                simd::dispatch(Transpose(&mut square));
                for (row, x) in part.chunks_mut(stride).zip(square) {
                    row[block] = x;
                }
            }
        });
        Ok(out)
    }

    /// Writes a safetensors file, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Io`] if the disk says no.
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        let mut bytes = vec![0; size_of_val(&self.words[..])];
        for (bytes, word) in bytes.as_chunks_mut().0.iter_mut().zip(&self.words) {
            *bytes = word.to_le_bytes();
        }
        Tensors {
            format: FORMAT,
            settings: vec![("rows", self.rows.to_string()), ("columns", self.columns.to_string())],
            arrays: vec![("words", Dtype::U64, vec![self.rows, self.stride], &bytes)],
        }
        .save(path)
    }

    /// Reads what [`BitMatrix::save`] wrote.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read, [`Error::Damaged`] if it is not what was written.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let file = Loaded::open(path, FORMAT)?;
        let (rows, columns) = (file.setting(path, "rows")?, file.setting::<usize>(path, "columns")?);
        let bytes = file.array(path, "words", Dtype::U64, &[rows, columns.div_ceil(BITS)])?;
        let mut matrix = Self::zeros(rows, columns).map_err(|e| damaged(path, e.to_string()))?;
        for (word, bytes) in matrix.words.iter_mut().zip(bytes.as_chunks().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        if matrix.has_stray_bits() {
            return Err(damaged(path, Error::StrayBits { columns }.to_string()));
        }
        Ok(matrix)
    }
}

/// Zeros, cleared by the system where they are first touched, by the thread that does; None if memory cannot hold them.
pub(crate) fn zeroed<T: FromZeros>(len: usize) -> Option<Vec<T>> {
    T::new_vec_zeroed(len).ok()
}

struct Counts<'a> {
    matrix: &'a BitMatrix,
    rows: Range<usize>,
}

impl Kernel for Counts<'_> {
    type Output = Vec<i64>;
    #[inline(always)]
    fn run<U: Unit>(self) -> Vec<i64> {
        self.rows.map(|i| simd::count(self.matrix.row(i)).cast_signed()).collect()
    }
}
