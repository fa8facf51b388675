//! Reasons in the `reason` column of decisions, beside those of failed rows.

pub(crate) const KEPT: &str = "kept";
pub(crate) const BEYOND_THRESHOLD: &str = "beyond-threshold";
pub(crate) const VETOED: &str = "vetoed";
pub(crate) const DUPLICATE_ID: &str = "duplicate-id";
pub(crate) const EXACT_DUPLICATE: &str = "exact-duplicate";
pub(crate) const OUTSIDE_LIMITS: &str = "outside-limits";
pub(crate) const SCORE_UNUSABLE: &str = "score-unusable";
