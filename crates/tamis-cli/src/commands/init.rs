//! `tamis init`

use std::io::Write;

use anyhow::Context as _;
use serde_json::json;

use super::{Context, Outcome};
use crate::args::Init;

pub(crate) fn run(context: &Context<'_>, args: &Init) -> anyhow::Result<Outcome> {
    let recipe = tamis::recipe_for(&args.corpus)?;
    let Some(out) = &args.out else {
        context.print(|| json!({ "recipe": recipe }), || recipe.trim_end().to_owned());
        return Ok(Outcome::Done);
    };
    let name = out.display().to_string();
    let mut file = match std::fs::File::create_new(out) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let hint = "name another file with --out, or remove this one";
            return Err(tamis::Error::usage(format!("`{name}` is there already"), hint).into());
        }
        file => file.with_context(|| format!("recipe `{name}`"))?,
    };
    file.write_all(recipe.as_bytes()).with_context(|| format!("recipe `{name}`"))?;
    context.print(|| json!({ "out": name }), || format!("wrote {name}; `tamis apply {name}` does it"));
    Ok(Outcome::Done)
}
