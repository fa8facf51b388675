//! How many clusters, and of how many documents.

/// The paper's number of clusters (arXiv 2402.09668, appendix B), from ten million documents on.
const CLUSTERS_OF_THE_PAPER: u64 = 10_000;

/// Documents of a cluster on average, below that.
const DOCUMENTS_A_CLUSTER: u64 = 1_000;

/// Documents that a fit looks at, for each cluster: more move no centroid by more than chance does (faiss stops there too).
pub const FIT_DOCUMENTS_A_CLUSTER: u64 = 256;

/// k for so many documents: the paper's 10,000 from 10 million documents on, below that one for every 1,000.
///
/// A thousand documents a cluster keep both costs of looking into clusters near each other at any size below that: assigning
/// them takes N·k products, holding them against each other N·1,000/2. Fewer clusters miss fewer near pairs and cost more of the
/// second; both are reported.
#[must_use]
pub fn default_clusters(documents: u64) -> u32 {
    (documents / DOCUMENTS_A_CLUSTER).clamp(1, CLUSTERS_OF_THE_PAPER) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_corpora_have_few_clusters_and_large_ones_the_papers() {
        let sizes = [0, 1, 999, 56_000, 9_999_999, 10_000_000, 365_000_000];
        assert_eq!(sizes.map(default_clusters), [1, 1, 1, 56, 9_999, 10_000, 10_000]);
    }
}
