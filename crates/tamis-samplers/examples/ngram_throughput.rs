//! Speed of n-gram scores on one core, for `bench/ngram.sh`; the lines are those of `bench/peers/ngram_kenlm.py`.
//!
//! ```text
//! cargo run --release -p tamis-samplers --example ngram_throughput -- MODEL.arpa DOCUMENTS ROUND
//! ```
//! DOCUMENTS are texts separated by NUL. Reading them is not timed; loading the model is, by itself.
#![expect(clippy::print_stdout, reason = "the figures are the output")]

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::time::Instant;

use tamis_samplers::ngram::{ArpaParser, Normalisation, Scorer, Words};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, documents, round] = &arguments[..] else { return Err("MODEL DOCUMENTS ROUND".into()) };
    let texts = std::fs::read_to_string(documents)?;
    let texts: Vec<&str> = texts.split('\0').collect();
    let began = Instant::now();
    let mut parser = ArpaParser::new();
    let mut file = BufReader::with_capacity(1 << 20, std::fs::File::open(model)?);
    let mut line = Vec::new();
    while file.read_until(b'\n', &mut line)? > 0 {
        parser.line(line.strip_suffix(b"\n").unwrap_or(&line))?;
        line.clear();
    }
    let model = parser.finish()?;
    println!("ngram-load/tamis {:.3} s {round}", began.elapsed().as_secs_f64());
    println!("ngram-memory/tamis {:.1} MB {round}", model.memory_bytes() as f64 / 1e6);
    let mut scorer = Scorer::new(&model);
    let (mut words, mut total) = (0, 0.0);
    let began = Instant::now();
    for text in &texts {
        let score = scorer.score(text, &Words(Normalisation::Plain))?;
        words += score.words;
        total += score.log10;
    }
    let seconds = began.elapsed().as_secs_f64();
    println!("ngram-score/tamis {:.0} words/s {round}", words as f64 / seconds);
    println!("ngram-score/tamis {:.1} documents/s {round}", texts.len() as f64 / seconds);
    println!("# tamis: {total:.3} log10 P of all documents");
    Ok(())
}
