//! How fast one core finds n-grams of evaluations.
//!
//! ```text
//! cargo run --release -p tamis-samplers --example contamination -- DOCUMENTS ITEMS ROUND
//! ```
//! Files of texts separated by NUL. Prints seconds and MB a second of the processor (Linux only); reading is not timed.
#![expect(clippy::print_stdout, reason = "the figures are the output")]

use std::error::Error;
use std::hint::black_box;

use tamis_samplers::contamination::{DEFAULT_WORDS, IndexBuilder};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [documents, items, round] = arguments.as_slice() else {
        return Err("contamination DOCUMENTS ITEMS ROUND".into());
    };
    let (documents, items) = (std::fs::read_to_string(documents)?, std::fs::read_to_string(items)?);
    let began = processor_seconds();
    let mut builder = IndexBuilder::new(DEFAULT_WORDS)?;
    builder.evaluation("items");
    items.split('\0').try_for_each(|item| builder.item([item]))?;
    let index = builder.finish()?;
    println!("contamination-index/tamis {:.3} s {round}", processor_seconds() - began);
    let bytes = index.size_bytes() as f64 / index.ngrams() as f64;
    println!("# index: {} n-grams, {bytes:.1} bytes each", index.ngrams());
    let began = processor_seconds();
    let mut scanner = index.scanner();
    let matched = documents.split('\0').filter(|text| !black_box(scanner.scan(text)).is_empty()).count();
    let rate = documents.len() as f64 / (processor_seconds() - began) / 1e6;
    println!("contamination-scan/tamis {rate:.1} MB/s {round}");
    println!("# {matched} documents have an n-gram, frequent or not");
    Ok(())
}

/// Time that this thread ran, whatever else the machine does.
fn processor_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|first| first.parse::<f64>().ok()).unwrap_or(f64::NAN) / 1e9
}
