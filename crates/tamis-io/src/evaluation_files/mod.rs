//! Files of evaluations: what their items' texts are, in the layouts that evaluations are published in.
//!
//! An evaluation is looked for in a corpus, so nothing of it may be missing without a word: a file of an unknown kind, one that is
//! broken anywhere, and one without a text are refused, by name, where a corpus would leave them out or fail a row.
//!
//! | ending (all but Parquet also `.gz`, `.zst`) | an item is | its texts are |
//! | --- | --- | --- |
//! | `.jsonl`, `.ndjson` | a line | every string in it, at any depth |
//! | `.json` | an element of the array, or of the arrays of objects in the one object; else each value | the same |
//! | `.csv`, `.tsv` | a row; the first is the header where nothing in it could be looked for | every field |
//! | `.txt` | a paragraph: lines up to a blank one | the paragraph |
//! | `.parquet` | a row | every string in it, at any depth |
//!
//! Keys, numbers and booleans are no texts. Where columns are named, the strings below those keys are the texts, wherever in a record
//! they stand; of a table the first row is the header then.
//!
//! Not for corpora: a file of text is held in memory as a whole, and 1 GiB of it is the limit.

mod error;
mod find;
mod json;
mod parquet;
mod read;
mod table;

pub use error::{EvaluationFileError, EvaluationFileResult};
pub use find::{EvaluationFile, EvaluationFiles, find};
