//! `copies`: how many documents of the corpus have the very same text.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use serde::{Deserialize, Serialize};
use tamis_core::{Direction, Fingerprint, Input, Parallelism, Ranking, Rule, SignalInfo, column};
use tamis_io::run::{ALL_ROWS, CorpusVersion, RunDirectory, ShardRecord, SignalDir, inventory_column};
use tamis_io::sidecar::SidecarColumns;

use super::{Definition, Named, Ready, SignalOptions};
use crate::alike::{self, Alike, COPIES, Members};
use crate::gate::{Gate, asked};
use crate::groups::{Keep, Pairs, Position, Rows};
use crate::project::Project;
use crate::scoring::{ScoreOptions, ScoreReport};
use crate::{Error, Observer, Result};

/// Raised when the same texts give other values.
const VERSION: u32 = 1;

/// Exact copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CopiesOptions {}

impl Named for CopiesOptions {
    const NAME: &'static str = "copies";
    const HELP: &'static str = "how many documents have the very same text";

    fn named(name: &str) -> Option<Self> {
        (name == Self::NAME).then(Self::default)
    }
}

fn info() -> SignalInfo {
    SignalInfo {
        name: CopiesOptions::NAME.to_owned(),
        fingerprint: Fingerprint::new("copies", VERSION),
        input: Input::DOCUMENTS,
        parallelism: Parallelism::PerCore,
        schema: alike::schema(Vec::new()),
        ranking: Some(Ranking {
            column: COPIES.to_owned(),
            direction: Direction::LowerIsBetter,
            rule: Rule::Bottom,
        }),
        part_bytes: 1 << 20,
        notes: BTreeMap::new(),
    }
}

impl Definition for CopiesOptions {
    fn user_name(&self) -> String {
        Self::NAME.to_owned()
    }

    fn is_of_all_rows(&self) -> bool {
        true
    }

    fn foreseen(&self) -> Result<Option<SignalInfo>> {
        Ok(Some(info()))
    }

    fn build(&self, _observer: &dyn Observer) -> Result<Ready> {
        Err(Error::usage("copies are counted over the whole corpus", "ask for them by `Project::score`"))
    }

    fn score(
        &self,
        project: &Project,
        version: &CorpusVersion,
        asked: &SignalOptions,
        options: ScoreOptions,
    ) -> Result<(SignalDir, ScoreReport)> {
        let began = Instant::now();
        let mut info = project.gated_info(&info());
        info.fingerprint = info.fingerprint.with(ALL_ROWS, project.all_rows(&version.shards, &[])?);
        let directory = project.begin_whole(asked, &info, options)?;
        let mut computed = 0;
        if !project.is_complete(version, &directory)? {
            let alike =
                Alike::new(&info.name, info.fingerprint.clone(), Texts { gate: project.gate.clone() });
            let grouped = project.grouped(version, &alike, Keep::InRun)?;
            computed = project.lay_beside(version, &directory, &grouped, options.worker)?;
        }
        let map = project.whole_report(version, &directory, computed, began)?;
        let mut findings = Vec::new();
        if map.unfinished_shards == 0 {
            findings.push(project.describe_alike(version, &directory)?);
        }
        Ok((directory, project.score_report(version, map, findings)))
    }
}

/// Equal texts are alike; as in a selection that keeps one of each, the smallest key stands first.
struct Texts {
    gate: Option<Arc<Gate>>,
}

const COLUMNS: [&str; 3] = [column::DOC_KEY, inventory_column::TEXT_DIGEST, column::RAW_DIGEST];

impl Members for Texts {
    fn rows<'a>(&'a self, run: &RunDirectory, shard: &ShardRecord) -> Result<Rows<'a>> {
        let [key, text, line] = COLUMNS;
        let columns = [column::ROW, key, text, line];
        let inventory = run.read_inventory(&shard.path, SidecarColumns::Named(&columns))?;
        let mut inside = self.gate.as_ref().map(|gate| gate.of_shard(shard)).transpose()?;
        Ok(Box::new(inventory.map(move |batch| match &mut inside {
            Some(inside) => inside.beside(&batch?),
            None => Ok(batch?),
        })))
    }

    fn emit(&self, _first: Position, batch: &RecordBatch, pairs: &mut Pairs) -> Result<()> {
        let [keys, texts, lines] = COLUMNS
            .map(|name| batch.column_by_name(name).expect("the column was asked for").as_fixed_size_binary());
        let is_asked = asked(batch);
        let mut payload = [0; 32];
        for at in (0..batch.num_rows()).filter(|at| is_asked(*at)) {
            payload[..16].copy_from_slice(keys.value(at));
            payload[16..].copy_from_slice(lines.value(at));
            let text = texts.value(at).try_into().expect("16 bytes by the inventory's schema");
            pairs.push(at, text, &payload);
        }
        Ok(())
    }

    fn order_bytes(&self) -> usize {
        0
    }

    /// The line, which decides between rows of one id.
    fn tail_bytes(&self) -> usize {
        16
    }
}
