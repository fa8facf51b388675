//! Speed of reading a corpus, one core: `cargo run --release -p tamis-io --example decode_speed -- CORPUS [TIMES]`.
//!
//! Prints MB/s of uncompressed lines for each step alone and for the whole way (read, parse, read again, keep a fifth).
//! Time is that which this thread had a core, where the system tells (Linux), so that a busy machine does not show.

use std::error::Error;
use std::sync::OnceLock;
use std::time::Instant;

use tamis_io::corpus::{Block, Columns, Corpus, discover};
use tamis_io::store::Store;

/// Seconds since the first call, or those that this thread had a core.
fn seconds() -> f64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let nanos = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = nanos.and_then(|line| line.split(' ').next()?.parse::<f64>().ok());
    nanos.map_or_else(|| START.get_or_init(Instant::now).elapsed().as_secs_f64(), |nanos| nanos / 1e9)
}

fn blocks(corpus: &Corpus) -> Result<Vec<Block>, Box<dyn Error>> {
    let mut blocks = Vec::new();
    for shard in corpus.shards() {
        let mut reader = corpus.open(shard, 0)?;
        while let Some(block) = reader.next_block()? {
            blocks.push(block);
        }
    }
    Ok(blocks)
}

#[expect(clippy::print_stdout, reason = "this program prints its figures")]
fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let location = arguments.next().ok_or("name a corpus")?;
    let times: u32 = arguments.next().map_or(Ok(3), |times| times.parse())?;
    let corpus = discover(&location)?;
    let columns = Columns { id: corpus.resolve_ids("text", None)?, ..Columns::default() };
    let out = tempfile::tempdir()?;
    let out = Store::local(out.path());

    for _ in 0..times {
        let start = seconds();
        for shard in corpus.shards() {
            let mut reader = corpus.open(shard, 0)?;
            while reader.next_block()?.is_some() {}
        }
        let read = seconds() - start;

        let blocks = blocks(&corpus)?;
        let megabytes = blocks.iter().map(Block::size_bytes).sum::<u64>() as f64 / 1e6;
        let start = seconds();
        let mut documents = 0;
        for block in &blocks {
            documents += block.decode(&columns)?.documents.len();
        }
        let decode = seconds() - start;

        let start = seconds();
        let mut kept = 0;
        for shard in corpus.shards() {
            let mut writer = corpus.kept_writer(shard, &out, &shard.path)?;
            for block in blocks.iter().filter(|block| block.shard() == shard.path) {
                block.write_kept(&mut |row| row % 5 == 0, &mut writer)?;
            }
            kept += writer.replace()?.rows;
        }
        let keep = seconds() - start;
        println!(
            "{megabytes:.1} MB, {documents} documents, {kept} kept; MB/s: read {:.0}, decode {:.0}, keep a fifth {:.0}, \
             all (read twice) {:.0}",
            megabytes / read,
            megabytes / decode,
            megabytes / keep,
            megabytes / (2.0 * read + decode + keep),
        );
    }
    Ok(())
}
