//! Small corpora of random words.

use std::path::Path;

use super::random::Random;

/// Words that the tiny tokenizer knows.
pub(crate) const WORDS: usize = 800;

pub(crate) fn word(at: usize) -> String {
    format!("w{at:03}")
}

/// A text of random words.
pub(crate) fn text(random: &mut Random, words: usize) -> String {
    (0..words).map(|_| word(random.below(WORDS))).collect::<Vec<_>>().join(" ")
}

/// One line of a corpus.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub(crate) id: String,
    pub(crate) text: String,
    /// A score that the corpus carries; `None` leaves it out.
    pub(crate) quality: Option<f64>,
}

impl Document {
    pub(crate) fn new(id: impl Into<String>, text: impl Into<String>, quality: f64) -> Self {
        Self { id: id.into(), text: text.into(), quality: Some(quality) }
    }

    pub(crate) fn line(&self) -> String {
        let mut object = serde_json::json!({ "id": self.id, "text": self.text });
        if let Some(quality) = self.quality {
            object["quality"] = quality.into();
            object["q-a"] = quality.into();
            object["q.a"] = (-quality).into();
        }
        object.to_string()
    }
}

/// `number` documents with distinct ids, texts and positive qualities.
pub(crate) fn documents(seed: u64, number: usize) -> Vec<Document> {
    let mut random = Random::new(seed);
    (0..number)
        .map(|at| {
            let words = 20 + random.below(40);
            let quality = 0.5 + random.below(40) as f64 / 8.0;
            Document::new(format!("d{seed}-{at}"), text(&mut random, words), quality)
        })
        .collect()
}

pub(crate) fn write(folder: &Path, shard: &str, lines: &[String]) {
    let path = folder.join(shard);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, lines.join("\n") + "\n").unwrap();
}

pub(crate) fn lines(documents: &[Document]) -> Vec<String> {
    documents.iter().map(Document::line).collect()
}

/// The corpus of most laws: seven shards, one large enough for several parts, one empty; lines that cannot be read, a
/// document without a score, an id that occurs twice, and equal texts.
pub(crate) fn mixed(folder: &Path) {
    let mut large = documents(1, 700);
    large[3].quality = None;
    large[10].text = large[20].text.clone();
    let mut first = lines(&large);
    first.insert(5, "{\"id\": \"broken\", \"text\": ".to_owned());
    first.insert(9, String::new());
    first.push("{\"id\": \"empty\", \"text\": \"\"}".to_owned());
    write(folder, "a/large.jsonl", &first);
    for (at, name) in ["b", "c", "d", "e", "z"].into_iter().enumerate() {
        let mut some = documents(10 + at as u64, 60 + 10 * at);
        if name == "d" {
            some[7].id = large[30].id.clone();
            some[8].text = large[31].text.clone();
        }
        write(folder, &format!("{name}.jsonl"), &lines(&some));
    }
    std::fs::write(folder.join("nothing.jsonl"), "").unwrap();
}
