//! `rules`: the published rules of thumb for web text, as numbers and as a veto.
//!
//! Every measure is a column, so that another threshold is a matter of SQL or of `--at-most`; `broken` is how many rules a document
//! breaks, and `veto` names the first of them with its threshold. Nothing is thrown away by it: `select --by rules --at-most 0`
//! keeps what breaks none.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray, UInt16Array, UInt64Array};
use arrow_schema::{DataType, Field, Schema};
use serde::{Deserialize, Serialize};
use tamis_core::{
    Direction, DocumentBatch, Fingerprint, Input, Parallelism, Ranking, Rule, Signal, SignalInfo, column,
    reason,
};
use tamis_samplers::rules::{Preset, RuleMeasurer, RuleSet, Unit};

use super::{Definition, Named, Ready};
use crate::project::Project;
use crate::{Error, Observer, Result};

/// Column of how many rules are broken.
const BROKEN: &str = "broken";

/// Raised when the same measures give other verdicts; measures have a version of their own.
const VERSION: u32 = 1;

/// Which rules.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RulesOptions {
    /// Whose rules; order and repetitions do not matter.
    pub presets: Vec<Preset>,
    /// Thresholds that are not the published ones, by the name of the rule.
    pub thresholds: BTreeMap<String, f64>,
}

impl Default for RulesOptions {
    fn default() -> Self {
        Self { presets: Preset::ALL.to_vec(), thresholds: BTreeMap::new() }
    }
}

impl Named for RulesOptions {
    const NAME: &'static str = "rules";
    const HELP: &'static str =
        "which rules of Gopher, C4 and FineWeb it breaks, and every number that they look at";

    fn named(name: &str) -> Option<Self> {
        (name == Self::NAME).then(Self::default)
    }
}

impl RulesOptions {
    fn rules(&self) -> Result<RuleSet> {
        RuleSet::new(&self.presets, &self.thresholds)
            .map_err(|error| Error::usage(error.to_string(), error.hint()))
    }
}

impl Definition for RulesOptions {
    fn user_name(&self) -> String {
        Self::NAME.to_owned()
    }

    fn check(&self, _project: &Project) -> Result<()> {
        self.rules().map(drop)
    }

    fn foreseen(&self) -> Result<Option<SignalInfo>> {
        Ok(Some(Rules::new(self.rules()?).info))
    }

    fn build(&self, _observer: &dyn Observer) -> Result<Ready> {
        Ok(Ready::exact(Rules::new(self.rules()?)))
    }

    fn unify(&mut self, _digest: &str) {
        self.presets.sort_unstable();
        self.presets.dedup();
        let published: BTreeMap<&str, f64> = self
            .presets
            .iter()
            .flat_map(|preset| preset.limits())
            .map(|limit| (limit.name, limit.threshold))
            .collect();
        self.thresholds.retain(|name, value| published.get(name.as_str()) != Some(value));
    }
}

/// The measures of a set of rules, a column each, and what the rules say of them.
struct Rules {
    rules: RuleSet,
    /// What each rule says where it is the first that is broken.
    vetoes: Vec<String>,
    info: SignalInfo,
}

impl Rules {
    fn new(rules: RuleSet) -> Self {
        let kind = |unit| match unit {
            Unit::Count => DataType::UInt64,
            Unit::Share | Unit::Number => DataType::Float64,
        };
        let measures = rules.measures().iter();
        let mut fields: Vec<Field> =
            measures.map(|measure| Field::new(measure.column, kind(measure.unit), true)).collect();
        fields.push(Field::new(BROKEN, DataType::UInt16, true));
        fields.push(Field::new(column::VETO, DataType::Utf8, true));
        fields.push(Field::new(column::FAILED, DataType::Utf8, true));
        let info = SignalInfo {
            name: RulesOptions::NAME.to_owned(),
            fingerprint: rules.describe(Fingerprint::new(RulesOptions::NAME, VERSION)),
            input: Input::DOCUMENTS,
            parallelism: Parallelism::PerCore,
            schema: Arc::new(Schema::new(fields)),
            ranking: Some(Ranking {
                column: BROKEN.to_owned(),
                direction: Direction::LowerIsBetter,
                rule: Rule::Bottom,
            }),
            part_bytes: 128 << 20,
            notes: BTreeMap::from([("stop_words".to_owned(), "English".to_owned())]),
        };
        Self { vetoes: rules.limits().map(ToString::to_string).collect(), rules, info }
    }
}

impl Signal for Rules {
    fn info(&self) -> &SignalInfo {
        &self.info
    }

    fn annotate(&self, input: &RecordBatch) -> tamis_core::Result<RecordBatch> {
        let documents = DocumentBatch::new(input.clone())?;
        let mut measurer = RuleMeasurer::default();
        let width = self.rules.measures().len();
        // Measures of the rows that have a text, one after another, and which row each is.
        let (mut values, mut rows) = (Vec::new(), Vec::with_capacity(documents.len()));
        let mut verdicts = Vec::with_capacity(documents.len());
        for text in documents.texts() {
            let row = text.map(|text| {
                let from = values.len();
                measurer.measure(text, &self.rules, &mut values);
                from
            });
            verdicts.push(row.map(|from| self.rules.judge(&values[from..from + width])));
            rows.push(row);
        }
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.info.schema.fields().len());
        for (at, measure) in self.rules.measures().iter().enumerate() {
            let value = |row: &Option<usize>| row.map(|from| values[from + at]);
            columns.push(match measure.unit {
                Unit::Count => Arc::new(
                    rows.iter().map(|row| value(row).map(|count| count as u64)).collect::<UInt64Array>(),
                ),
                Unit::Share | Unit::Number => Arc::new(rows.iter().map(value).collect::<Float64Array>()),
            });
        }
        let broken = verdicts.iter().map(|verdict| verdict.map(|verdict| verdict.broken));
        columns.push(Arc::new(broken.collect::<UInt16Array>()));
        let veto = verdicts.iter().map(|verdict| Some(self.vetoes[verdict.as_ref()?.first?].as_str()));
        columns.push(Arc::new(veto.collect::<StringArray>()));
        let failed = rows.iter().map(|row| row.is_none().then_some(reason::NULL_TEXT));
        columns.push(Arc::new(failed.collect::<StringArray>()));
        Ok(RecordBatch::try_new(Arc::clone(&self.info.schema), columns)?)
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::Array;
    use arrow_array::cast::AsArray;
    use arrow_array::types::UInt16Type;

    use super::*;

    fn signal(options: &RulesOptions) -> Rules {
        Rules::new(options.rules().unwrap())
    }

    #[test]
    fn a_batch_is_its_documents_one_by_one_and_hostile_text_is_judged() {
        let prose = "We have walked with the dogs of the town, and that was all that there was to be seen. "
            .repeat(3);
        let texts = [
            prose.as_str(),
            "The cat and the hat.",
            "",
            " \n",
            "\u{0}\u{202e}ﷺ\u{10ffff}",
            &"x".repeat(100_000),
        ];
        let rules = signal(&RulesOptions::default());
        let whole = rules.annotate(DocumentBatch::from_texts(texts).as_arrow()).unwrap();
        assert_eq!(whole.schema(), rules.info().schema);
        for (row, text) in texts.iter().enumerate() {
            let alone = rules.annotate(DocumentBatch::from_texts([*text]).as_arrow()).unwrap();
            assert_eq!(whole.slice(row, 1), alone, "{row}");
        }
        let vetoes = whole.column_by_name(column::VETO).unwrap().as_string::<i32>().clone();
        assert_eq!(vetoes.value(1), "gopher-words < 50");
        let broken = whole.column_by_name(BROKEN).unwrap().as_primitive::<UInt16Type>();
        for row in 0..texts.len() {
            assert_eq!(vetoes.is_null(row), broken.value(row) == 0, "{row}");
        }
    }

    #[test]
    fn a_rule_is_broken_beyond_its_threshold_and_the_first_is_named() {
        let presets = vec![Preset::GopherQuality];
        let of = |least: f64| {
            let thresholds = BTreeMap::from([
                ("gopher-words-min".to_owned(), least),
                ("gopher-stop-words".to_owned(), 0.0),
            ]);
            let rules = signal(&RulesOptions { presets: presets.clone(), thresholds });
            let judged = rules.annotate(DocumentBatch::from_texts(["one and, two"]).as_arrow()).unwrap();
            let text = |name: &str| {
                let column = judged.column_by_name(name).unwrap().as_string::<i32>();
                column.iter().next().flatten().map(str::to_owned)
            };
            assert_eq!(text(column::FAILED), None);
            text(column::VETO)
        };
        // Three words and a comma: a quarter of all has no letter.
        assert_eq!(of(3.0).unwrap(), "gopher-alphabetic-word-share < 0.8");
        assert_eq!(of(3.5).unwrap(), "gopher-words < 3.5");
    }

    #[test]
    fn options_that_say_the_same_are_the_same() {
        let mut asked = RulesOptions {
            presets: vec![Preset::FineWeb, Preset::C4, Preset::C4],
            thresholds: BTreeMap::from([("c4-sentences".to_owned(), 5.0)]),
        };
        let plain = RulesOptions { presets: vec![Preset::C4, Preset::FineWeb], ..RulesOptions::default() };
        assert_eq!(signal(&asked).info.fingerprint, signal(&plain).info.fingerprint);
        asked.unify("");
        assert_eq!(asked, plain);
    }
}
