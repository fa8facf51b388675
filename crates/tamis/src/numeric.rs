//! Which numeric path computes a signal here: that of the stored signal which it goes on with, else the one that suits the
//! processor.
//!
//! Two paths give scores that differ in their last digits, so whoever begins a signal decides, and every worker and later call
//! follows or says that it cannot. A table of measurements says what suits a processor ([`tamis_kernels::measured`]); what the
//! table does not know is probed once, and the answer kept in the model cache.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tamis_kernels::{Dtype as Format, Path as NumericPath, Processor, fastest_products, measured};
use tamis_models::source::default_cache;

use crate::model_options::Dtype;
use crate::project::Project;
use crate::signals::SignalOptions;
use crate::standing::apart_from_numeric_path;
use crate::{Error, Result};

/// bf16 loses digits: it is taken where it needs at most this share of the time of f32.
const WORTH_ROUNDING: f64 = 0.85;
/// Where probed answers are kept, in the model cache.
const KEPT: &str = "numeric-path.json";

/// A numeric path, and why it is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) path: NumericPath,
    pub(crate) why: String,
}

/// The path that computes a new signal.
pub(crate) fn choose(dtype: Dtype) -> Choice {
    let best = |format, name| Choice {
        path: NumericPath::detect(format),
        why: format!("the best of this processor in {name}, which was asked for"),
    };
    match dtype {
        Dtype::Auto => {
            static AUTO: OnceLock<Choice> = OnceLock::new();
            AUTO.get_or_init(|| suited(&default_cache())).clone()
        }
        Dtype::F32 => best(Format::F32, "f32"),
        Dtype::Bf16 => best(Format::Bf16, "bf16"),
        Dtype::Int8 => best(Format::Int8, "int8"),
        Dtype::Path(path) => Choice { path, why: "as asked".to_owned() },
    }
}

fn suited(cache: &Path) -> Choice {
    match measured() {
        Some(measured) => {
            let why = format!(
                "measured to be the faster on {} (tokens/s of SmolLM2-135M and MiniLM-L6: {})",
                measured.on, measured.figures
            );
            Choice { path: measured.path, why }
        }
        None => Probed::of(Processor::this(), cache).choice(),
    }
}

/// What a probe found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Probed {
    f32_path: String,
    bf16_path: String,
    f32_microseconds: u64,
    bf16_microseconds: u64,
}

impl Probed {
    /// As it was found before on such a processor, else found now and kept, where the cache can be written.
    fn of(processor: &Processor, cache: &Path) -> Self {
        let paths = [Format::F32, Format::Bf16].map(NumericPath::detect);
        let Processor { vendor, family, model, stepping, name } = processor;
        let key = format!("{vendor} family {family} model {model} stepping {stepping}, {name}");
        let mut kept: BTreeMap<String, Self> = std::fs::read(cache.join(KEPT))
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        let names = paths.map(NumericPath::name);
        if let Some(known) = kept.get(&key).filter(|known| [&*known.f32_path, &*known.bf16_path] == names) {
            return known.clone();
        }
        let found = Self::measured(names, fastest_products(paths));
        kept.insert(key, found.clone());
        keep(&kept, cache);
        found
    }

    fn measured([f32_path, bf16_path]: [&str; 2], times: [Duration; 2]) -> Self {
        let [f32_microseconds, bf16_microseconds] = times.map(|time| time.as_micros() as u64);
        Self {
            f32_path: f32_path.to_owned(),
            bf16_path: bf16_path.to_owned(),
            f32_microseconds,
            bf16_microseconds,
        }
    }

    fn choice(&self) -> Choice {
        let Self { f32_path, bf16_path, f32_microseconds, bf16_microseconds } = self;
        let rounds = *bf16_microseconds as f64 <= WORTH_ROUNDING * *f32_microseconds as f64;
        let format = if rounds { Format::Bf16 } else { Format::F32 };
        let why = format!(
            "nobody has measured this processor; probed on it, one product takes {f32_microseconds} µs by `{f32_path}` and \
             {bf16_microseconds} µs by `{bf16_path}`"
        );
        Choice { path: NumericPath::detect(format), why }
    }
}

/// A cache that cannot be written costs a probe in every process, and nothing else.
fn keep(kept: &BTreeMap<String, Probed>, cache: &Path) {
    let written = || -> std::io::Result<()> {
        std::fs::create_dir_all(cache)?;
        let file = tempfile::NamedTempFile::new_in(cache)?;
        serde_json::to_writer_pretty(&file, kept)?;
        file.persist(cache.join(KEPT))?;
        Ok(())
    };
    let _unwritten = written();
}

/// Refuses a path that was named and cannot be computed here.
pub(crate) fn check(dtype: Dtype) -> Result<()> {
    match dtype {
        Dtype::Path(path) if !path.is_supported() => {
            let has =
                NumericPath::supported().into_iter().map(NumericPath::name).collect::<Vec<_>>().join(", ");
            Err(Error::usage(
                format!("numeric path `{}` needs instructions that this processor lacks", path.name()),
                format!("it has {has}; a signal that was begun on another path is completed where that is"),
            ))
        }
        _ => Ok(()),
    }
}

/// Whether a signal that was computed on a path can be gone on with here by who asks for `dtype`; else why not.
pub(crate) fn follows(stored: &str, dtype: Dtype) -> std::result::Result<NumericPath, String> {
    let Ok(path) = NumericPath::from_name(stored) else {
        return Err(format!("stored `{stored}`, which this tamis does not know"));
    };
    let asked = match dtype {
        Dtype::Auto => true,
        Dtype::F32 => path.dtype() == Format::F32,
        Dtype::Bf16 => path.dtype() == Format::Bf16,
        Dtype::Int8 => path.dtype() == Format::Int8,
        Dtype::Path(asked) => path == asked,
    };
    match asked {
        false => Err(format!("stored `{stored}`, asked `{dtype}`")),
        true if !path.is_supported() => Err(format!("stored `{stored}`, which this processor lacks")),
        true => Ok(path),
    }
}

impl Project {
    /// Options with the numeric path that computes them. `beside` says that another one may stand beside what is stored.
    ///
    /// # Errors
    /// A stored signal that differs in nothing but its path, which this processor lacks.
    pub(crate) fn settled(&self, asked: &SignalOptions, beside: bool) -> Result<SignalOptions> {
        let mut settled = asked.clone();
        let Some(dtype) = settled.definition_mut().dtype() else { return Ok(settled) };
        if matches!(dtype, Dtype::Path(_)) {
            return Ok(settled);
        }
        let own = choose(*dtype).path;
        *dtype = Dtype::Path(self.begun_path(asked, *dtype, own, beside)?.unwrap_or(own));
        Ok(settled)
    }

    /// The path of a stored signal that these options go on with; `own` if there are several and that is among them.
    fn begun_path(
        &self,
        asked: &SignalOptions,
        dtype: Dtype,
        own: NumericPath,
        beside: bool,
    ) -> Result<Option<NumericPath>> {
        let name = asked.stored_name();
        let stored: Vec<_> =
            self.run.own_signals()?.into_iter().filter(|signal| signal.record().name == name).collect();
        let mut followed = None;
        let mut lacked = None;
        for signal in &stored {
            let same = match apart_from_numeric_path(asked, signal.record()) {
                Some(differences) => differences.is_empty(),
                None => stored.len() == 1,
            };
            let Some(path) = signal.record().fingerprint.get("numeric_path").filter(|_| same) else {
                continue;
            };
            match follows(path, dtype) {
                Ok(path) if path == own => return Ok(Some(own)),
                Ok(path) => drop(followed.get_or_insert(path)),
                Err(_) if NumericPath::from_name(path).is_ok_and(|path| !path.is_supported()) => {
                    lacked.get_or_insert((signal.full_name().to_owned(), path.clone()));
                }
                Err(_) => {}
            }
        }
        match (followed, lacked) {
            (None, Some((name, path))) if !beside => Err(Error::state(
                format!("`{name}` was begun on the numeric path `{path}`, which this processor lacks"),
                format!(
                    "complete it on machines that have it; --beside computes all of it on `{}`; for machines of several kinds \
                     begin with a path that all have, such as `--dtype f32/avx2`",
                    own.name()
                ),
            )),
            (followed, _) => Ok(followed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATHS: [&str; 2] = ["f32/portable", "bf16/portable"];

    #[test]
    fn bf16_is_taken_only_where_it_is_well_faster() {
        let taken = |f32_time, bf16_time| {
            let times = [f32_time, bf16_time].map(Duration::from_micros);
            Probed::measured(PATHS, times).choice().path.dtype()
        };
        assert_eq!(taken(1000, 500), Format::Bf16);
        assert_eq!(taken(1000, 850), Format::Bf16);
        assert_eq!(taken(1000, 851), Format::F32);
        assert_eq!(taken(1000, 1000), Format::F32);
        assert_eq!(taken(0, 1), Format::F32);
    }

    #[test]
    fn an_answer_is_kept_by_processor_and_paths_and_a_damaged_file_is_replaced() {
        let cache = tempfile::tempdir().unwrap();
        let here = cache.path().join("made");
        let one = Processor { vendor: "CentaurHauls".to_owned(), family: 7, ..Processor::default() };
        let other = Processor { model: 59, ..one.clone() };
        let found = Probed::of(&one, &here);
        assert_eq!(found.f32_path, NumericPath::detect(Format::F32).name());
        assert_eq!(Probed::of(&one, &here), found);
        let of_other = Probed::of(&other, &here);
        assert_eq!((Probed::of(&one, &here), Probed::of(&other, &here)), (found.clone(), of_other));

        let file = here.join(KEPT);
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text.replace(&found.f32_path, "f32/other")).unwrap();
        assert_eq!(Probed::of(&one, &here).f32_path, found.f32_path);
        std::fs::write(&file, &text[..text.len() / 2]).unwrap();
        let again = Probed::of(&one, &here);
        assert_eq!(Probed::of(&one, &here), again);
        // A cache that is a file: nothing can be kept, and the answer is given all the same.
        assert_eq!(Probed::of(&one, &file).bf16_path, again.bf16_path);
    }

    #[test]
    fn what_was_begun_is_followed_by_whoever_asks_for_nothing_else() {
        let any = NumericPath::F32Portable;
        assert_eq!(follows(any.name(), Dtype::Auto), Ok(any));
        assert_eq!(follows(any.name(), Dtype::F32), Ok(any));
        assert_eq!(follows(any.name(), Dtype::Path(any)), Ok(any));
        assert!(follows(any.name(), Dtype::Bf16).unwrap_err().contains("asked `bf16`"));
        assert!(follows(any.name(), Dtype::Path(NumericPath::Bf16Portable)).is_err());
        assert!(follows("f16/sse", Dtype::Auto).unwrap_err().contains("does not know"));
        if let Some(lacked) = NumericPath::ALL.into_iter().find(|path| !path.is_supported()) {
            assert!(follows(lacked.name(), Dtype::Auto).unwrap_err().contains("lacks"));
        }
    }
}
