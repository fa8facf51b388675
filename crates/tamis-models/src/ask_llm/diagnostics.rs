//! Whether the judge answers the question at all.

use arrow_array::RecordBatch;
use tamis_core::{BatchSummary, Digest, Error, Result, ScoreBatch, Summary};

use super::columns::{P_NO, P_YES};

/// Mean probability on yes and no together, over the rows that were scored.
///
/// A judge that puts almost all of it on other tokens is not answering: its scores rank by something else. Sums are in
/// fixed point, so that they merge to the same bits in every order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JudgeDiagnostics {
    /// Rows that were scored.
    pub rows: u64,
    mass: u64,
}

const WHAT: &str = "mass of a judge";
const MAGIC: &[u8; 8] = b"tamis-JM";
const VERSION: u32 = 1;

/// Units of [`JudgeDiagnostics::mass`] in 1: 2³², so that 2³² rows fit.
const UNIT: f64 = 4_294_967_296.0;

impl JudgeDiagnostics {
    /// Under this mean mass on yes and no the scores deserve a warning.
    pub const LEAST_MASS: f64 = 0.1;

    /// Adds the rows of a sidecar of the signal.
    ///
    /// # Errors
    /// When the batch lacks the columns `p_yes` and `p_no`.
    pub fn add(&mut self, batch: &ScoreBatch) -> tamis_core::Result<()> {
        for pair in batch.values(P_YES)?.into_iter().zip(batch.values(P_NO)?) {
            if let (Some(yes), Some(no)) = pair {
                self.add_row(yes + no);
            }
        }
        Ok(())
    }

    /// Adds the rows of a batch that [`tamis_core::Signal::annotate`] returned.
    pub fn add_annotated(&mut self, batch: &RecordBatch) {
        use arrow_array::Array;
        use arrow_array::cast::AsArray;
        use arrow_array::types::Float64Type;
        let column =
            |name| batch.column_by_name(name).and_then(|array| array.as_primitive_opt::<Float64Type>());
        if let (Some(yes), Some(no)) = (column(P_YES), column(P_NO)) {
            for at in (0..batch.num_rows()).filter(|&at| yes.is_valid(at) && no.is_valid(at)) {
                self.add_row(yes.value(at) + no.value(at));
            }
        }
    }

    fn add_row(&mut self, mass: f64) {
        self.rows += 1;
        // The cast saturates; a mass is within [0, 1] up to rounding.
        self.mass = self.mass.saturating_add((mass * UNIT) as u64);
    }

    /// The mean, in [0, 1]; `None` when no row was scored.
    #[must_use]
    pub fn mean_mass(&self) -> Option<f64> {
        (self.rows > 0).then(|| self.mass as f64 / UNIT / self.rows as f64)
    }

    /// What to tell the user when the mass is too small to trust the scores; `None` when all is well.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let mean = self.mean_mass().filter(|mean| *mean < Self::LEAST_MASS)?;
        Some(format!(
            "the judge puts only {:.1} % of its probability on yes and no: it does not answer the question; try a few-shot \
             prompt (`--prompt few-shot`) or a larger judge",
            mean * 100.0
        ))
    }
}

impl Summary for JudgeDiagnostics {
    /// Of the rows of a batch.
    type Part = Self;

    fn empty(&self) -> Self {
        Self::default()
    }

    fn absorb(&mut self, part: Self) -> Result<()> {
        self.rows = self.rows.checked_add(part.rows).ok_or_else(|| Error::Merge {
            what: WHAT,
            problem: "the number of rows would overflow".to_owned(),
        })?;
        self.mass = self.mass.saturating_add(part.mass);
        Ok(())
    }

    fn merge(&mut self, other: Self) -> Result<()> {
        self.absorb(other)
    }

    /// Layout: `tamis-JM`, version u32, rows u64, mass u64, 128-bit xxh3 of all that; integers little-endian.
    fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(self.rows.to_le_bytes());
        bytes.extend(self.mass.to_le_bytes());
        let checksum = Digest::of(&bytes).to_bytes();
        bytes.extend(checksum);
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<Self> {
        let number = |from: usize| {
            let bytes = bytes.get(from..from + 8)?;
            bytes.try_into().map(u64::from_le_bytes).ok()
        };
        let read = Self { rows: number(12).unwrap_or(0), mass: number(20).unwrap_or(0) };
        // There is one way to write it.
        if read.encode() == bytes {
            Ok(read)
        } else {
            Err(Error::Corrupt { what: WHAT, problem: "it is cut, changed or of another version".to_owned() })
        }
    }

    fn size_bytes(&self) -> u64 {
        44
    }
}

impl BatchSummary for JudgeDiagnostics {
    fn parts(&self) -> impl Fn(&RecordBatch) -> Result<Self> + Send + Sync + 'static {
        |batch| {
            let mut part = Self::default();
            part.add(&ScoreBatch::new(batch.clone())?)?;
            Ok(part)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_mass_warns_below_a_tenth_and_merges_in_any_order() {
        let mut one = JudgeDiagnostics::default();
        assert_eq!((one.mean_mass(), one.warning()), (None, None));
        [0.01, 0.02].into_iter().for_each(|mass| one.add_row(mass));
        assert!(one.warning().unwrap().contains("only 1.5 %"));
        let mut other = JudgeDiagnostics::default();
        other.add_row(0.99);
        let (mut left, mut right) = (one, other);
        left.merge(other).unwrap();
        right.merge(one).unwrap();
        assert_eq!(left, right);
        assert!((left.mean_mass().unwrap() - 0.34).abs() < 1e-9);
        assert_eq!(left.warning(), None);
    }
}
