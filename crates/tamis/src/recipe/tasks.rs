//! What of a recipe is left to do, in units that a scheduler can hand out.

use serde::Serialize;

use super::Recipe;
use super::order::Step;
use crate::Result;
use crate::project::Project;
use crate::standing::differences;

/// A shard of a signal of a recipe. `tamis apply RECIPE --worker I/N` does the I-th of N shards of every signal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RecipeTask {
    /// As the recipe calls it.
    pub signal: String,
    /// The selection that has to be made first; `None`: the work can begin at once.
    pub on: Option<String>,
    /// Path of the shard within the corpus.
    pub shard: String,
    /// Bytes of its file.
    pub bytes: u64,
}

impl Project {
    /// The shards that the signals of a recipe lack, in the order in which they can be done. Of a signal behind a selection all are
    /// listed: which of its documents are done is known when the selection is made.
    ///
    /// # Errors
    /// What applying the recipe would refuse; a run that cannot be read.
    pub fn recipe_tasks(&self, recipe: &Recipe) -> Result<Vec<RecipeTask>> {
        self.check_planned_recipe(recipe)?;
        let version = self.run.latest_corpus()?;
        let mut tasks = Vec::new();
        for step in recipe.order()? {
            let Step::Signal(at) = step else { continue };
            let signal = &recipe.signals[at];
            let mut stored = None;
            for other in self.run.own_signals()? {
                let same = other.record().name == signal.options.stored_name()
                    && differences(&signal.options, other.record()).is_some_and(|found| found.is_empty());
                stored = stored.or(same.then_some(other));
            }
            for shard in self.corpus.shards() {
                let record = version.as_ref().and_then(|version| version.shard(&shard.path));
                let is_done = match (&stored, record) {
                    (Some(stored), Some(record)) if signal.on.is_none() => stored.receipt(record)?.is_some(),
                    _ => false,
                };
                if !is_done {
                    tasks.push(RecipeTask {
                        signal: signal.name.clone(),
                        on: signal.on.clone(),
                        shard: shard.path.clone(),
                        bytes: shard.size_bytes,
                    });
                }
            }
        }
        Ok(tasks)
    }
}
