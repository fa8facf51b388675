//! What the rules say of texts, and how fast, on one core.
//!
//! ```text
//! cargo run --release -p tamis-samplers --example rules -- verdicts DOCUMENTS
//! cargo run --release -p tamis-samplers --example rules -- speed DOCUMENTS ROUND
//! ```
//! DOCUMENTS are texts separated by NUL. `verdicts` prints a line a text: for each preset the rules that it breaks, joined by `;`, the
//! presets divided by tabs. `speed` prints MB a second of the processor (Linux only) of each preset and of all; reading is not timed.
#![expect(clippy::print_stdout, reason = "the figures are the output")]

use std::collections::BTreeMap;
use std::error::Error;
use std::hint::black_box;

use tamis_samplers::rules::{Preset, RuleMeasurer, RuleSet};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [what, documents, more @ ..] = &arguments[..] else {
        return Err("verdicts|speed DOCUMENTS …".into());
    };
    let texts = std::fs::read_to_string(documents)?;
    let texts: Vec<&str> = texts.split('\0').collect();
    match what.as_str() {
        "verdicts" => verdicts(&texts),
        "speed" => speed(&texts, more.first().map_or("1", String::as_str)),
        _ => Err(format!("no `{what}`").into()),
    }
}

fn verdicts(texts: &[&str]) -> Result<(), Box<dyn Error>> {
    let mut measurer = RuleMeasurer::default();
    let rules = Preset::ALL.map(|preset| RuleSet::new(&[preset], &BTreeMap::new()));
    let rules: Vec<RuleSet> = rules.into_iter().collect::<Result<_, _>>()?;
    let mut values = Vec::new();
    for text in texts {
        let mut line = Vec::new();
        for rules in &rules {
            values.clear();
            measurer.measure(text, rules, &mut values);
            let value = |column: &str| {
                let at = rules.measures().iter().position(|measure| measure.column == column);
                at.map_or(f64::NAN, |at| values[at])
            };
            let broken = rules.limits().filter(|limit| limit.is_broken_by(value(limit.column)));
            line.push(broken.map(|limit| limit.name).collect::<Vec<_>>().join(";"));
        }
        println!("{}", line.join("\t"));
    }
    Ok(())
}

/// Time that this thread ran, whatever else the machine does.
fn processor_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|first| first.parse::<f64>().ok()).unwrap_or(f64::NAN) / 1e9
}

fn speed(texts: &[&str], round: &str) -> Result<(), Box<dyn Error>> {
    let bytes: usize = texts.iter().map(|text| text.len()).sum();
    let one = Preset::ALL.map(|preset| (preset.name(), vec![preset]));
    for (name, presets) in one.into_iter().chain([("all", Preset::ALL.to_vec())]) {
        let rules = RuleSet::new(&presets, &BTreeMap::new())?;
        let mut measurer = RuleMeasurer::default();
        let mut values = Vec::new();
        let began = processor_seconds();
        for text in texts {
            values.clear();
            measurer.measure(text, &rules, &mut values);
            black_box(rules.judge(&values));
        }
        println!("rules-{name}/tamis {:.1} MB/s {round}", bytes as f64 / (processor_seconds() - began) / 1e6);
    }
    Ok(())
}
