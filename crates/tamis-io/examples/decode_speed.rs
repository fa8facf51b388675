//! Speed of reading a corpus, one core: `cargo run --release -p tamis-io --example decode_speed -- CORPUS [TIMES]`.
//!
//! Prints MB/s of uncompressed lines for each step alone and for the whole way (read, measure, read again, keep a fifth).
//! Time is that which this thread had a core, where the system tells (Linux), so that a busy machine does not show.

use std::error::Error;
use std::sync::OnceLock;
use std::time::Instant;

use tamis_io::corpus::{Columns, discover};
use tamis_io::store::Store;

/// Seconds since the first call, or those that this thread had a core.
fn seconds() -> f64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let nanos = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = nanos.and_then(|line| line.split(' ').next()?.parse::<f64>().ok());
    nanos.map_or_else(|| START.get_or_init(Instant::now).elapsed().as_secs_f64(), |nanos| nanos / 1e9)
}

#[expect(clippy::print_stdout, reason = "this program prints its figures")]
fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let location = arguments.next().ok_or("name a corpus")?;
    let times: u32 = arguments.next().map_or(Ok(3), |times| times.parse())?;
    let corpus = discover(&location)?;
    let columns = Columns { id: corpus.resolve_ids("text", None)?.mode, ..Columns::default() };
    let out = tempfile::tempdir()?;
    let out = Store::local(out.path());

    for _ in 0..times {
        let (mut read, mut decode, mut measure, mut keep) = (0.0, 0.0, 0.0, 0.0);
        let (mut bytes, mut documents, mut kept) = (0, 0, 0);
        for shard in corpus.shards() {
            let mut time = seconds();
            let mut lap = |into: &mut f64| {
                let now = seconds();
                *into += now - time;
                time = now;
            };
            let mut reader = corpus.open(shard, 0)?;
            let mut writer = corpus.kept_writer(shard, &out, &shard.path)?;
            lap(&mut keep);
            while let Some(block) = reader.next_block()? {
                lap(&mut read);
                bytes += block.size_bytes();
                documents += block.decode(&columns)?.documents.len();
                lap(&mut decode);
                block.measure(&columns)?;
                lap(&mut measure);
                block.write_kept(&mut |row| row % 5 == 0, &mut writer)?;
                drop(block);
                lap(&mut keep);
            }
            lap(&mut read);
            kept += writer.replace()?.rows;
            lap(&mut keep);
        }
        let megabytes = bytes as f64 / 1e6;
        println!(
            "{megabytes:.1} MB, {documents} documents, {kept} kept; MB/s: read {:.0}, decode {:.0}, measure {:.0}, \
             keep a fifth {:.0}, all (read twice) {:.0}",
            megabytes / read,
            megabytes / decode,
            megabytes / measure,
            megabytes / keep,
            megabytes / (2.0 * read + measure + keep),
        );
    }
    Ok(())
}
