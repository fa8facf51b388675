//! `tamis samplers`

use serde_json::json;
use tamis::PaperSampler;

use super::{Context, Outcome};
use crate::output::table;

pub(crate) fn run(context: &Context<'_>) -> Outcome {
    let samplers = tamis::paper_samplers();
    context.print(|| json!({ "samplers": samplers }), || text_of(&samplers));
    Outcome::Done
}

fn text_of(samplers: &[PaperSampler]) -> String {
    let rows: Vec<Vec<String>> = samplers
        .iter()
        .map(|sampler| {
            let cost = sampler.flops_a_token.map_or_else(
                || "–".to_owned(),
                |flops| match flops {
                    0.0 => "0".to_owned(),
                    flops => format!("{:.2}", flops / 1e9),
                },
            );
            let at_hand = match sampler.at_hand {
                None => "–",
                Some(true) => "yes",
                Some(false) => "no",
            };
            vec![sampler.name.clone(), cost, at_hand.to_owned()]
        })
        .collect();
    let mut lines = vec![table(&["sampler", "GFLOP a token", "model at hand"], &rows), String::new()];
    for sampler in samplers {
        lines.push(format!("{}:", sampler.name));
        lines.push(format!("    {}", sampler.command));
        lines.extend(sampler.note.map(|note| format!("    {note}")));
    }
    lines.push(String::new());
    lines.push(
        "A model that is not at hand is fetched when it is first asked for: `tamis models pull SOURCE`."
            .to_owned(),
    );
    lines.push(
        "With --embedder, --model left out the packaged models compute instead, small ones.".to_owned(),
    );
    lines.join("\n")
}
