//! Which of a recipe's signals and selections comes when: what is named first.

use super::{Recipe, RecipeSelection, RecipeSignal};
use crate::explain::split_score;
use crate::{Error, Result};

/// A signal or a selection, by its place in the recipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Signal(usize),
    Selection(usize),
}

impl RecipeSelection {
    /// The names of signals that it is by, or filters by.
    pub(super) fn reads(&self) -> impl Iterator<Item = &str> {
        let by = std::iter::once(self.options.by.as_str());
        let filters = self.options.filters.iter().map(|filter| filter.by.as_str());
        let strata = self.options.quotas.iter().flat_map(|quotas| quotas.by.iter().map(String::as_str));
        by.chain(filters).chain(strata).map(|by| split_score(by).0)
    }
}

impl RecipeSignal {
    /// The names of signals whose scores it reads.
    pub(super) fn reads(&self) -> Vec<String> {
        let mut options = self.options.clone();
        let read = options.definition_mut().scores_read();
        read.into_iter().map(|by| split_score(by).0.to_owned()).filter(|name| *name != self.name).collect()
    }
}

/// NAME of NAME or NAME:LABEL.
pub(super) fn selection_of(on: &str) -> &str {
    on.split_once(':').map_or(on, |(name, _)| name)
}

impl Recipe {
    /// An order in which everything comes after what it names; of those that could come next the first of the file does,
    /// signals before selections.
    ///
    /// # Errors
    /// A selection that is named and not there, a circle, two of one name.
    pub(super) fn order(&self) -> Result<Vec<Step>> {
        for selection in &self.selections {
            if self.selections.iter().filter(|other| other.name == selection.name).count() > 1 {
                return Err(Error::usage(
                    format!("two selections are called `{}`", selection.name),
                    "rename one",
                ));
            }
        }
        for output in &self.outputs {
            self.selection_named(&output.selection, &output.name)?;
        }
        let mut order = Vec::new();
        let mut open = Vec::new();
        for at in 0..self.signals.len() {
            self.visit(Step::Signal(at), &mut order, &mut open)?;
        }
        for at in 0..self.selections.len() {
            self.visit(Step::Selection(at), &mut order, &mut open)?;
        }
        Ok(order)
    }

    fn visit(&self, step: Step, order: &mut Vec<Step>, open: &mut Vec<Step>) -> Result<()> {
        if order.contains(&step) {
            return Ok(());
        }
        if let Some(from) = open.iter().position(|other| *other == step) {
            let names: Vec<String> =
                open[from..].iter().chain([&step]).map(|step| format!("`{}`", self.name_of(*step))).collect();
            return Err(Error::usage(
                format!("each waits for the next: {}", names.join(" → ")),
                "take one `on` out: nothing can be asked of what is chosen by its own answer",
            ));
        }
        open.push(step);
        for first in self.first(step)? {
            self.visit(first, order, open)?;
        }
        open.pop();
        order.push(step);
        Ok(())
    }

    pub(super) fn name_of(&self, step: Step) -> &str {
        match step {
            Step::Signal(at) => &self.signals[at].name,
            Step::Selection(at) => &self.selections[at].name,
        }
    }

    /// What has to be there before.
    fn first(&self, step: Step) -> Result<Vec<Step>> {
        let (on, reads): (_, Vec<String>) = match step {
            Step::Signal(at) => (&self.signals[at].on, self.signals[at].reads()),
            Step::Selection(at) => {
                let selection = &self.selections[at];
                (&selection.options.on, selection.reads().map(str::to_owned).collect())
            }
        };
        let mut first = Vec::new();
        if let Some(on) = on {
            first.push(Step::Selection(self.selection_named(on, self.name_of(step))?));
        }
        let signal = |name: String| self.signals.iter().position(|signal| signal.name == name);
        first.extend(reads.into_iter().filter_map(signal).map(Step::Signal));
        Ok(first)
    }

    fn selection_named(&self, on: &str, by: &str) -> Result<usize> {
        let name = selection_of(on);
        self.selections.iter().position(|selection| selection.name == name).ok_or_else(|| {
            let known = self.selections.iter().map(|selection| selection.name.as_str());
            let hint = match tamis_core::nearest(name, known.clone()) {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => format!("the recipe has {}", known.collect::<Vec<_>>().join(", ")),
            };
            Error::usage(
                format!("`{by}` names the selection `{name}`, and the recipe has none called so"),
                hint,
            )
        })
    }
}
