//! What density would do: embeddings, then the sketch.

use tamis_io::run::ShardRecord;

use super::DensityOptions;
use super::frozen;
use super::passes::part_name;
use crate::Result;
use crate::planned::{SignalPlan, Standing, anew};
use crate::project::Project;
use crate::scoring::ScoreOptions;

impl Project {
    /// Embeddings, then the sketch.
    pub(crate) fn plan_density(
        &self,
        read: &[(usize, ShardRecord)],
        density: &DensityOptions,
        options: ScoreOptions,
    ) -> Result<Vec<SignalPlan>> {
        let own = ScoreOptions { beside: options.beside, worker: options.worker, ..ScoreOptions::default() };
        let mut plans = self.plan_asked(read, &density.embed.clone().into(), own)?;
        let embedding = plans.first().map(|plan| plan.standing.clone());
        let name = "density".to_owned();
        let plan = match embedding {
            Some(refused @ Standing::Refused { .. }) => {
                SignalPlan { standing: refused, ..anew(read, name, None, options) }
            }
            Some(Standing::Continues(embedding)) => {
                let stored = self.stored_sketches(density, &embedding)?;
                match stored.frozen {
                    Some((directory, sketch)) => {
                        let held = |shard: &ShardRecord| sketch.parts.contains(&part_name(shard));
                        let all = read.len() == self.corpus.shards().len();
                        // A sketch that is fitted anew on what it was fitted on is the same one.
                        let changes = options.refit && !(all && read.iter().all(|(_, shard)| held(shard)));
                        match changes {
                            false => self.going_on(read, &directory, options)?,
                            true => anew(
                                read,
                                name,
                                Some((directory.full_name().to_owned(), Vec::new())),
                                options,
                            ),
                        }
                    }
                    None => {
                        let other = self.other_density(density, &embedding)?;
                        anew(read, name, other, options)
                    }
                }
            }
            _ => {
                let other = self.other_density(density, "embeddings that are computed first")?;
                anew(read, name, other, options)
            }
        };
        plans.push(plan);
        Ok(plans)
    }

    /// A stored density that is not the one that is asked for, and in what it differs.
    fn other_density(
        &self,
        density: &DensityOptions,
        embedding: &str,
    ) -> Result<Option<(String, Vec<String>)>> {
        for directory in self.run.own_signals()? {
            let record = directory.record();
            if record.name != "density" {
                continue;
            }
            let mut found = match frozen::density_of(record) {
                None => vec!["its options are not known to this tamis".to_owned()],
                Some(then) => {
                    let standing = frozen::compare(density, &then, &record.fingerprint);
                    standing.changes.iter().chain(&standing.open).map(ToString::to_string).collect()
                }
            };
            if record.input != embedding {
                found.push(format!("input: stored `{}`, asked `{embedding}`", record.input));
            }
            // One of the same options whose sketch is gone is sketched again.
            if !found.is_empty() {
                return Ok(Some((record.full_name.clone(), found)));
            }
        }
        Ok(None)
    }
}
