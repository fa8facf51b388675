//! Rotary positions in `config.json`: where their settings stand, and which place counts where there are several.
//!
//! Older files have `rope_theta`, with `rope_scaling` beside it; newer ones have both in `rope_parameters`, and Gemma 3's in an
//! object of it for each kind of layer. The rules are those of `transformers` 5 (`modeling_rope_utils.py`): a `rope_theta`
//! within an object goes before the one beside it, and a `rope_scaling` that is not empty stands in place of
//! `rope_parameters`. Where another version of it would go by another place, and the places disagree, a file is refused.
//! No default stands in for a base that a file states somewhere.

use crate::error::Result;
use crate::graph::{Llama3Scaling, RopeConfig, RopeScaling};
use crate::source::fields::Fields;
use crate::source::not_computed::refuse_rotary;

/// All settings, in newer files.
const NEWER: &str = "rope_parameters";
/// Stretching of wavelengths, in older files.
const OLDER: &str = "rope_scaling";

/// Where the base of the wavelengths stands when it is not in an object with the rest, and what it is when it stands nowhere.
#[derive(Clone, Copy)]
pub(super) struct Base {
    /// The field of `config.json`.
    pub(super) field: &'static str,
    /// What `transformers` takes for granted.
    pub(super) otherwise: f32,
}

/// Rotary positions of a family whose layers all rotate alike.
pub(super) fn of_all_layers(fields: &Fields<'_>) -> Result<RopeConfig> {
    let base = Base { field: "rope_theta", otherwise: 10_000.0 };
    let (newer, older) = (object(fields, NEWER)?, object(fields, OLDER)?);
    for (name, part) in [(NEWER, &newer), (OLDER, &older)] {
        // transformers reads them as if they were not there, or fails.
        if let Some(kind) = part.as_ref().and_then(|part| part.names_of_objects().next()) {
            let got = format!("one of `{kind}` alone");
            return Err(fields.not_computed(name, "one object for all layers", &got));
        }
    }
    let Some(older) = older else { return read(fields, newer.as_ref(), base) };
    let by_older = read_older(fields, &older, base)?;
    match newer {
        Some(newer) => agreed(fields, read(fields, Some(&newer), base)?, &by_older),
        None => Ok(by_older),
    }
}

/// Rotary positions of a family with two kinds of layers: those that see everything, and those that see a window.
pub(super) fn of_kinds(fields: &Fields<'_>, global: Base, local: Base) -> Result<(RopeConfig, RopeConfig)> {
    const KINDS: [&str; 2] = ["full_attention", "sliding_attention"];
    let newer = object(fields, NEWER)?;
    let of = |kind: &str, base: Base| -> Result<RopeConfig> {
        let part = match &newer {
            Some(newer) => newer.part(kind)?,
            None => None,
        };
        read(fields, part.as_ref(), base)
    };
    let (global_config, local_config) = (of(KINDS[0], global)?, of(KINDS[1], local)?);
    if let Some(newer) = &newer {
        // transformers passes over what stands beside the two objects.
        let for_all =
            read(fields, Some(newer), Base { field: global.field, otherwise: global_config.theta })?;
        let stated = newer.get("rope_theta").is_some();
        if for_all.scaling.is_some() || stated && for_all.theta != global_config.theta {
            let expected = format!("an object for `{}` and one for `{}`", KINDS[0], KINDS[1]);
            return Err(fields.not_computed(NEWER, &expected, "settings beside them"));
        }
    }
    let global_config = match (object(fields, OLDER)?, newer.is_some()) {
        (None, _) => global_config,
        (Some(older), false) => read_older(fields, &older, global)?,
        (Some(older), true) => {
            let theta = stated(&older, "rope_theta")?.unwrap_or(global_config.theta);
            agreed(fields, global_config, &RopeConfig { theta, scaling: scaling(&older)? })?
        }
    };
    Ok((global_config, local_config))
}

/// An object of settings; `None` where it says nothing.
fn object<'a>(fields: &Fields<'a>, name: &str) -> Result<Option<Fields<'a>>> {
    Ok(fields.part(name)?.filter(|part| !part.is_empty()))
}

fn read(fields: &Fields<'_>, part: Option<&Fields<'_>>, base: Base) -> Result<RopeConfig> {
    let (within, scaling) = match part {
        Some(part) => (stated(part, "rope_theta")?, scaling(part)?),
        None => (None, None),
    };
    let theta = match within {
        Some(theta) => theta,
        None => stated(fields, base.field)?.unwrap_or(base.otherwise),
    };
    Ok(RopeConfig { theta, scaling })
}

/// The same of `rope_scaling`, in which versions of `transformers` before 5 passed over a `rope_theta`.
fn read_older(fields: &Fields<'_>, older: &Fields<'_>, base: Base) -> Result<RopeConfig> {
    let config = read(fields, Some(older), base)?;
    if let Some(beside) = fields.number(base.field)?
        && beside != config.theta
    {
        let (expected, got) = (format!("`rope_theta` {beside}, as beside it"), config.theta.to_string());
        return Err(fields.not_computed(OLDER, &expected, &got));
    }
    Ok(config)
}

/// What two places say, where they say the same.
fn agreed(fields: &Fields<'_>, newer: RopeConfig, older: &RopeConfig) -> Result<RopeConfig> {
    if newer == *older {
        return Ok(newer);
    }
    let (expected, got) = if newer.theta == older.theta {
        (format!("what `{NEWER}` says"), "something else".to_owned())
    } else {
        (format!("`rope_theta` {}, as in `{NEWER}`", newer.theta), older.theta.to_string())
    };
    Err(fields.not_computed(OLDER, &expected, &got))
}

/// A number that, where its field is there, is no null: transformers fails on it.
fn stated(fields: &Fields<'_>, name: &str) -> Result<Option<f32>> {
    if fields.is_there(name) && fields.get(name).is_none() {
        return Err(fields.wrong(name, "a number", "null"));
    }
    fields.number(name)
}

/// How wavelengths are stretched, by one object of settings.
fn scaling(part: &Fields<'_>) -> Result<Option<RopeScaling>> {
    refuse_rotary(part)?;
    let name = if part.get("rope_type").is_some() { "rope_type" } else { "type" };
    let number = |name| part.number(name)?.ok_or_else(|| part.wrong(name, "a number", "nothing"));
    Ok(match part.only(name, &["default", "linear", "llama3"], "default")? {
        "linear" => Some(RopeScaling::Linear { factor: number("factor")? }),
        "llama3" => Some(RopeScaling::Llama3(Llama3Scaling {
            factor: number("factor")?,
            low_frequency_factor: number("low_freq_factor")?,
            high_frequency_factor: number("high_freq_factor")?,
            original_context: part.needed_size("original_max_position_embeddings")?,
        })),
        _ => None,
    })
}
