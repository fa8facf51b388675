//! What a person should know of contamination: how much, of which evaluations, and a few examples.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use tamis_core::{DocKey, column};
use tamis_io::run::{CorpusVersion, ShardRecord, SignalDir};
use tamis_io::sidecar::{SidecarColumns, zip_aligned};
use tamis_samplers::contamination::{DocumentCounts, EVALUATION, EvaluationIndex, MATCHED, Verdicts};

use crate::project::Project;
use crate::{Result, pool};

/// The share of documents from which on it is warned.
const WARNED_SHARE: f64 = 0.001;
/// Evaluations that are listed.
const MOST_EVALUATIONS: usize = 20;
/// Documents that are shown.
const MOST_EXAMPLES: usize = 5;

/// What was found of what was looked for.
pub(super) struct Found<'f> {
    pub(super) index: &'f EvaluationIndex,
    pub(super) verdicts: &'f Verdicts,
    pub(super) counts: &'f DocumentCounts,
    /// Documents in which an n-gram may be and counts.
    pub(super) most: u64,
}

impl Project {
    /// Sentences on a finished signal.
    ///
    /// # Errors
    /// Sidecars that cannot be read.
    pub(super) fn describe_contamination(
        &self,
        version: &CorpusVersion,
        (matches, contamination): (&SignalDir, &SignalDir),
        found: &Found<'_>,
    ) -> Result<Vec<String>> {
        let Found { index, verdicts, counts, most } = found;
        let evaluations = index.evaluations();
        let counted = pool::map(version.shards.iter().collect(), self.threads, |shard: &ShardRecord| {
            let (mut documents, mut by_evaluation) = (0, vec![0_u64; evaluations.len()]);
            for batch in matches.read(shard, SidecarColumns::All)? {
                self.go_on()?;
                documents += verdicts.count_documents(&batch?, &mut by_evaluation)?;
            }
            Ok((documents, by_evaluation))
        })?;
        let hit: u64 = counted.iter().map(|(documents, _)| documents).sum();
        let by_evaluation: Vec<u64> =
            (0..evaluations.len()).map(|at| counted.iter().map(|(_, by)| by[at]).sum()).collect();
        let items_found = verdicts.items_found(counts);

        let all = version.documents();
        let share = hit as f64 / all.max(1) as f64;
        let too_short: u64 = evaluations.iter().map(|evaluation| evaluation.too_short).sum();
        let mut findings = vec![format!(
            "{hit} of {all} documents ({:.3} %) share words with an item of an evaluation; looked for {} n-grams of {} items of \
             {} evaluations, {too_short} items are too short",
            share * 100.0,
            index.ngrams(),
            index.items(),
            evaluations.len(),
        )];
        if verdicts.frequent() > 0 {
            findings.push(format!(
                "{} n-grams are in more than {most} documents and do not count",
                verdicts.frequent()
            ));
        }
        if share >= WARNED_SHARE {
            findings.push(format!(
                "warning: {:.3} % of the documents are contaminated; `tamis select --by contamination --at-most 0` leaves them \
                 out",
                share * 100.0
            ));
        }
        let mut order: Vec<usize> = (0..evaluations.len()).filter(|at| by_evaluation[*at] > 0).collect();
        order.sort_by_key(|at| (std::cmp::Reverse(by_evaluation[*at]), *at));
        for &at in order.iter().take(MOST_EVALUATIONS) {
            findings.push(format!(
                "{}: {} documents ({:.3} %), {} of {} items",
                evaluations[at].name,
                by_evaluation[at],
                by_evaluation[at] as f64 / all.max(1) as f64 * 100.0,
                items_found[at],
                evaluations[at].items,
            ));
        }
        if order.len() > MOST_EVALUATIONS {
            findings.push(format!("and {} evaluations with fewer documents", order.len() - MOST_EVALUATIONS));
        }
        if hit > 0 {
            findings.extend(self.examples(version, contamination)?);
        }
        Ok(findings)
    }

    /// The first contaminated documents, as the shards and their rows come.
    fn examples(&self, version: &CorpusVersion, contamination: &SignalDir) -> Result<Vec<String>> {
        let own = [column::ROW, column::DOC_KEY, EVALUATION, MATCHED];
        let listed = [column::ROW, column::DOC_KEY, column::ID];
        let mut examples = Vec::new();
        for shard in &version.shards {
            let inventory = self.run.read_inventory(&shard.path, SidecarColumns::Named(&listed))?;
            let sidecar = contamination.read(shard, SidecarColumns::Named(&own))?;
            for batch in zip_aligned(&shard.path, inventory, vec![sidecar])? {
                let batch = batch?;
                let text = |rows: &arrow_array::RecordBatch, name: &str, at: usize| {
                    let values = rows.column_by_name(name).expect("it was asked for").as_string::<i32>();
                    values.is_valid(at).then(|| values.value(at).to_owned())
                };
                let rows = &batch.sidecars[0];
                for at in 0..rows.num_rows() {
                    let (Some(evaluation), Some(words)) =
                        (text(rows, EVALUATION, at), text(rows, MATCHED, at))
                    else {
                        continue;
                    };
                    let keys = batch.inventory.column_by_name(column::DOC_KEY).expect("it was asked for");
                    let key = keys.as_fixed_size_binary().value(at);
                    let key = DocKey::from_bytes(key.try_into().expect("16 bytes by the inventory's schema"));
                    let name = text(&batch.inventory, column::ID, at).unwrap_or_else(|| key.to_string());
                    examples.push(format!("for example `{name}`, {evaluation}: {words}"));
                    if examples.len() == MOST_EXAMPLES {
                        return Ok(examples);
                    }
                }
            }
        }
        Ok(examples)
    }
}
