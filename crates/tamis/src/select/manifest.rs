//! `manifest.json` of a selection: what was asked, what was decided, what was kept.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tamis_core::{Fingerprint, Rule};
use tamis_io::run::{CorpusVersion, FORMAT_VERSION, SignalDir};
use tamis_samplers::{Cut, Target};

use super::{Labelled, Tally, VetoRecord, duplicates_name};
use crate::project::Project;
use crate::select_options::SelectOptions;
use crate::{Error, Result};

/// Documents, tokens and bytes of text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sums {
    /// Number of documents.
    pub documents: u64,
    /// Their tokens, 0 where nothing counts them.
    pub tokens: u64,
    /// Their bytes of text.
    pub bytes: u64,
    /// Copies of them.
    pub copies: u64,
}

impl Sums {
    pub(super) fn add(&mut self, other: Self) {
        self.documents += other.documents;
        self.tokens += other.tokens;
        self.bytes += other.bytes;
        self.copies += other.copies;
    }
}

/// in = kept + dropped + failed, where kept is that of the largest target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Rows of the corpus that are documents or should have been; blank lines are neither.
    pub documents_in: u64,
    /// Documents that were ranked.
    pub candidates: u64,
    /// Kept by the largest target.
    pub kept: u64,
    /// Not kept although they could be read and scored, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Could not be read or scored, by reason.
    pub failed: BTreeMap<String, u64>,
}

impl Counts {
    /// All dropped documents.
    #[must_use]
    pub fn dropped_documents(&self) -> u64 {
        self.dropped.values().sum()
    }

    /// All failed rows.
    #[must_use]
    pub fn failed_rows(&self) -> u64 {
        self.failed.values().sum()
    }
}

/// What a stratum has of a target, where strata have quotas. In documents, or in tokens or bytes where the budget is in these.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StratumShare {
    /// Its name: the values of the columns.
    pub stratum: String,
    /// `shared threshold`, `floor` or `ceiling`.
    pub held_by: String,
    /// Candidates in it.
    pub available: u64,
    /// Of these kept; of tokens and bytes it may be up to one document less.
    pub kept: u64,
    /// Priority value of its first document that is not kept; null when all are.
    pub threshold: Option<f64>,
}

/// One rate or budget, and what it kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetRecord {
    /// `rate-10`, `documents-1000` …: also the folder when there are several.
    pub label: String,
    /// What was asked for: a share of the candidates, documents, tokens or bytes.
    pub asked: f64,
    /// Documents kept.
    pub documents: u64,
    /// Copies of them, where documents are repeated; tokens and bytes are of all copies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copies: Option<u64>,
    /// Their tokens; null where no tokenizer was named.
    pub tokens: Option<u64>,
    /// Their bytes of text.
    pub bytes: u64,
    /// Kept beyond the number asked for, because equal texts share their fate.
    pub over: u64,
    /// Priority value of the first document that is not kept; null when all are, or when draws are independent.
    pub threshold: Option<f64>,
    /// The same with its tie-breakers: 64 hex digits.
    pub threshold_exact: Option<String>,
    /// c of Poisson sampling; null for other rules and when all are kept.
    pub poisson_scale: Option<f64>,
    /// Expected number of documents of Poisson sampling.
    pub expected_documents: Option<f64>,
    /// Standard deviation of that number.
    pub standard_deviation: Option<f64>,
    /// Shares of strata, where these have quotas.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub strata: Vec<StratumShare>,
}

/// All of it. Nothing in it depends on when, where or with how many threads it was computed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of this file's layout.
    pub format_version: u64,
    /// Version of tamis.
    pub tamis: String,
    /// `random`, or the signal's full name.
    pub by: String,
    /// The score's column.
    pub column: Option<String>,
    /// The rule.
    pub rule: String,
    /// Seed of draws and ties.
    pub seed: u64,
    /// Number of the corpus version.
    pub corpus_version: u64,
    /// Everything that decides the selection.
    pub plan: BTreeMap<String, String>,
    /// Full name of the signal that counts tokens.
    pub tokens_by: Option<String>,
    /// Equal texts: `all` or `one`.
    pub exact_duplicates: String,
    /// Veto files, and how many of their entries matched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vetoes: Vec<VetoRecord>,
    /// Licence of the scoring model, as far as it is known: some bind what is made with a model's output.
    pub model_license: Option<String>,
    /// What became of all documents.
    pub counts: Counts,
    /// One record a target, smallest first.
    pub targets: Vec<TargetRecord>,
}

impl Project {
    #[expect(clippy::too_many_arguments, reason = "gathers what every step of a selection found")]
    pub(super) fn manifest(
        &self,
        version: &CorpusVersion,
        by: Option<(&SignalDir, &str)>,
        tokens: Option<&SignalDir>,
        rule: Rule,
        options: &SelectOptions,
        targets: &[Labelled],
        cuts: &[Cut],
        tally: Tally,
        plan: &Fingerprint,
    ) -> Result<Manifest> {
        let mut failed = tally.failed;
        for shard in &version.shards {
            for (reason, count) in &shard.failed {
                *failed.entry(reason.clone()).or_default() += count;
            }
        }
        let kept = tally.kept.last().copied().unwrap_or_default().documents;
        let counts = Counts {
            documents_in: version.documents() + version.failed_rows(),
            candidates: kept + tally.dropped.get(super::reason::BEYOND_THRESHOLD).copied().unwrap_or(0),
            kept,
            dropped: tally.dropped,
            failed,
        };
        if counts.documents_in != kept + counts.dropped_documents() + counts.failed_rows() {
            let message = format!(
                "counts do not add up: {} in, {kept} kept, {} dropped, {} failed",
                counts.documents_in,
                counts.dropped_documents(),
                counts.failed_rows()
            );
            return Err(Error::state(
                message,
                "this is a bug of tamis: please report it with the run's manifest",
            ));
        }
        let nothing = Sums::default();
        let records = targets.iter().zip(cuts).zip(tally.kept.iter().chain(std::iter::repeat(&nothing)));
        let targets = records
            .map(|((target, cut), sums)| {
                let mut record = TargetRecord {
                    label: target.label.clone(),
                    asked: match target.target {
                        Target::Rate(rate) => rate.as_f64(),
                        Target::Documents(n) | Target::Tokens(n) | Target::Bytes(n) => n as f64,
                    },
                    documents: sums.documents,
                    copies: options.repeat.as_ref().map(|_| sums.copies),
                    tokens: tokens.map(|_| sums.tokens),
                    bytes: sums.bytes,
                    over: 0,
                    threshold: None,
                    threshold_exact: None,
                    poisson_scale: None,
                    expected_documents: None,
                    standard_deviation: None,
                    strata: Vec::new(),
                };
                match cut {
                    Cut::Exact(threshold) => {
                        record.over = threshold.over;
                        if let Some(first) = &threshold.first_rejected {
                            record.threshold = Some(first.value());
                            let hex = first.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
                            record.threshold_exact = Some(hex);
                        }
                    }
                    Cut::Poisson(poisson) => {
                        record.poisson_scale = Some(poisson.scale).filter(|scale| scale.is_finite());
                        record.expected_documents = Some(poisson.expected_documents);
                        record.standard_deviation = Some(poisson.standard_deviation);
                    }
                }
                record
            })
            .collect();
        Ok(Manifest {
            format_version: FORMAT_VERSION,
            tamis: env!("CARGO_PKG_VERSION").to_owned(),
            by: by.map_or_else(|| "random".to_owned(), |(signal, _)| signal.full_name().to_owned()),
            column: by.map(|(_, column)| column.to_owned()),
            rule: rule.to_string(),
            seed: options.seed,
            corpus_version: version.number,
            plan: plan.fields().clone(),
            tokens_by: tokens.map(|signal| signal.full_name().to_owned()),
            exact_duplicates: duplicates_name(options.exact_duplicates).to_owned(),
            vetoes: Vec::new(),
            model_license: by.and_then(|(signal, _)| signal.record().notes.get("license").cloned()),
            counts,
            targets,
        })
    }
}
