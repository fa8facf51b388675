//! The places where untrusted input comes in, one function each: they may be refused, they may not panic, hang or take much
//! memory.
//!
//! The same functions are the targets of `cargo fuzz` (`fuzz_targets/`), of the property tests in `make test` and of `make
//! fuzz`, which mutates the seeds on a stable compiler. A file is written where an entry point wants a path.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tamis_core::{DocumentBatch, Sharded, Summary};
use tamis_io::corpus::{Columns, IdMode};
use tamis_io::run::RunDirectory;
use tamis_io::sidecar::SidecarColumns;
use tamis_io::store::Store;
use tamis_models::GgufWeights;
use tamis_models::prompt::{ChatTemplate, Prompt, PromptSet};
use tamis_models::tokenizer::Tokenizer;
use tamis_models::weights::{SafetensorsWeights, Weights};
use tamis_samplers::RaceSketch;

/// What takes the bytes.
pub type Target = fn(&[u8]);

/// All targets by the names of their folders of seeds.
pub const TARGETS: [(&str, Target); 6] = [
    ("jsonl", jsonl),
    ("gguf", gguf),
    ("safetensors", safetensors),
    ("sketch", sketch),
    ("receipt", receipt),
    ("prompt", prompt),
];

/// A file of this process and thread that holds `bytes`.
fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let base = Path::new("/dev/shm");
    let base = if base.is_dir() { base.to_owned() } else { std::env::temp_dir() };
    let thread = format!("{:?}", std::thread::current().id());
    let thread: String = thread.chars().filter(char::is_ascii_digit).collect();
    let folder = base.join(format!("tamis-fuzz-{}-{thread}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder in memory or the temporary one");
    let path = folder.join(name);
    std::fs::write(&path, bytes).expect("a small file");
    path
}

/// Removes what the targets wrote in this thread.
pub fn clean() {
    if let Some(folder) = file("last", b"").parent() {
        let _ = std::fs::remove_dir_all(folder);
    }
}

/// A shard of lines, plain and as the two compressed formats, with a short limit for lines so that it is met too.
pub fn jsonl(bytes: &[u8]) {
    for name in ["lines.jsonl", "lines.jsonl.gz", "lines.jsonl.zst"] {
        let path = file(name, bytes);
        for (id, carry, limit) in [
            (IdMode::Column("id".to_owned()), vec!["meta.score".to_owned(), "source".to_owned()], 1 << 20),
            (IdMode::FromText, Vec::new(), 64),
        ] {
            let columns =
                Columns { text: "text".to_owned(), id, namespace: String::new(), carry, also: Vec::new() };
            read_lines(&path, &columns, limit);
        }
    }
}

fn read_lines(path: &Path, columns: &Columns, limit: u64) {
    let Ok(corpus) = tamis_io::corpus::discover(&path.display().to_string()) else { return };
    let corpus = corpus.with_max_line_bytes(limit);
    let Ok(mut reader) = corpus.open(&corpus.shards()[0], 0) else { return };
    let mut rows = 0;
    // A bomb of a few bytes may decompress to terabytes, a block at a time: that is time, not memory.
    for _ in 0..4 {
        let Ok(Some(block)) = reader.next_block() else { break };
        assert_eq!(block.first_row(), rows);
        rows += block.rows();
        let Ok(decoded) = block.decode(columns) else { continue };
        let documents: &DocumentBatch = &decoded.documents;
        let (read, failed) = (documents.as_arrow().num_rows() as u64, decoded.failures.len() as u64);
        assert!(
            read + failed <= block.rows(),
            "{read} documents and {failed} failures of {} rows",
            block.rows()
        );
        let _ = block.column_names();
    }
}

/// A GGUF file: header, every tensor that it names, its tokenizer.
pub fn gguf(bytes: &[u8]) {
    let Ok(gguf) = GgufWeights::open(&file("model.gguf", bytes)) else { return };
    load_all(&gguf);
    if let Ok(tokenizer) = Tokenizer::from_gguf(gguf.file()) {
        let _ = tokenizer.encode("A document, with é and <s> in it.\n");
    }
}

/// A safetensors file: header and every tensor that it names; the same bytes as the index of shards.
pub fn safetensors(bytes: &[u8]) {
    let path = file("model.safetensors", bytes);
    if let Ok(weights) = SafetensorsWeights::open(&[path]) {
        load_all(&weights);
    }
    let _ = SafetensorsWeights::shards_of(&file("model.safetensors.index.json", bytes));
}

fn load_all(weights: &dyn Weights) {
    for name in weights.names() {
        let shape = weights.shape(&name).unwrap_or_default();
        if let Ok(values) = weights.load(&name, &shape) {
            assert_eq!(values.len(), shape.iter().product::<usize>(), "{name}");
        }
    }
}

/// A sketch, as it is and with a checksum that fits, so that what is behind the checksum is reached.
pub fn sketch(bytes: &[u8]) {
    const MOST_BYTES: u64 = 64 << 20;
    let _ = Sharded::<RaceSketch>::decode(bytes);
    let _ = RaceSketch::decode_within(bytes, MOST_BYTES);
    let mut signed = bytes[..bytes.len().saturating_sub(8)].to_vec();
    let sum = xxhash_rust::xxh3::xxh3_64(&signed);
    signed.extend_from_slice(&sum.to_le_bytes());
    if let Ok(sketch) = RaceSketch::decode_within(&signed, MOST_BYTES) {
        let again = RaceSketch::decode(&sketch.encode()).expect("what was read can be written and read");
        assert_eq!(again.digest(), sketch.digest());
    }
}

/// A small run: where each of its files lies, and what is in it.
const RUN: [(&str, &[u8]); 9] = [
    ("run.json", include_bytes!("../seeds/receipt/run.json")),
    ("corpus/1.json", include_bytes!("../seeds/receipt/corpus.json")),
    ("inventory/a.json", include_bytes!("../seeds/receipt/inventory.json")),
    ("inventory/a.parquet", include_bytes!("../seeds/receipt/inventory.parquet")),
    ("signals/column-q-a-d61029f9@e3f01663/signal.json", include_bytes!("../seeds/receipt/signal.json")),
    ("signals/column-q-a-d61029f9@e3f01663/receipts/a.json", include_bytes!("../seeds/receipt/receipt.json")),
    ("signals/column-q-a-d61029f9@e3f01663/a.parquet", include_bytes!("../seeds/receipt/sidecar.parquet")),
    ("selections/column-q-a-47590a60/plan.json", include_bytes!("../seeds/receipt/plan.json")),
    ("audit/20260101T000000.000000Z-00000000.json", include_bytes!("../seeds/receipt/audit.json")),
];

/// A part of the sidecar.
const PART: &str =
    "signals/column-q-a-d61029f9@e3f01663/.parts/a/8e437c9c5b97307f7ab6b95787efd2df-0-7.parquet";

/// A run directory that is in order but for one file, each in turn.
pub fn receipt(bytes: &[u8]) {
    for (hostile, _) in RUN {
        open_run(&[(hostile, bytes)], None);
    }
    // A part where there is no sidecar yet.
    open_run(&[(PART, bytes)], Some("signals/column-q-a-d61029f9@e3f01663/receipts/a.json"));
}

/// Opens the run with other files in place of its own, and one left out; looks at all of it.
fn open_run(others: &[(&str, &[u8])], without: Option<&str>) {
    let Ok(store) = Store::object(Arc::new(object_store::memory::InMemory::new()), "") else { return };
    for (path, bytes) in others.iter().chain(&RUN) {
        if without != Some(*path) {
            store.create_new(path, bytes).expect("memory takes it; a name that is there stays as it is");
        }
    }
    let Ok(run) = RunDirectory::open_or_create(store) else { return };
    let _ = run.audit();
    let _ = run.selection("column-q-a-47590a60");
    let Ok(Some(version)) = run.latest_corpus() else { return };
    for shard in &version.shards {
        let _ = run.inventory_receipt(&shard.path, &version.columns);
        let _ = run.read_inventory(&shard.path, SidecarColumns::All).map(Iterator::count);
        for signal in run.signals().into_iter().flatten() {
            let _ = signal.receipt(shard);
            let _ = signal.read(shard, SidecarColumns::All).map(Iterator::count);
            let _ = signal.verify(shard);
            let _ = signal.parts(shard);
            let _ = signal.finish_shard(shard);
        }
    }
}

/// A prompt file, and the same text as the chat template of a model.
pub fn prompt(bytes: &[u8]) {
    let path = file("prompt.txt", bytes);
    let _ = PromptSet::resolve(&path.display().to_string(), "");
    if let Ok(prompt) = Prompt::from_bytes("prompt", bytes) {
        let again = Prompt::parse("prompt", &prompt.template()).expect("its own template");
        assert_eq!(again.digest(), prompt.digest());
        assert!(!prompt.delimiters().is_empty());
    }
    let template =
        ChatTemplate { source: String::from_utf8_lossy(bytes).into_owned(), ..ChatTemplate::default() };
    if let Ok(asked) = Prompt::parse("asked", "{document}\nIs it good?") {
        let _ = template.render(&asked, "model");
    }
}
