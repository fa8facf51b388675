//! Clusters of embeddings: k-means, and the centroids that later documents are assigned with.
//!
//! Lloyd's algorithm (IEEE Trans. Inf. Theory 28, 1982, DOI 10.1109/TIT.1982.1056489), on unit vectors (spherical, Dhillon & Modha
//! 2001, DOI 10.1023/A:1007612920971) or in space. A pass over the documents assigns each to its nearest centroid and adds it up
//! there, in fixed point, so that passes merge in any order to the same bits; the means are the next centroids. Assignment is a
//! packed product of many rows with all centroids; its products have the same bits on every machine whose path fuses
//! multiplication and addition, and so have the clusters.
//!
//! Letters: N documents, D dimension, k clusters, m rows of a part.

mod assign;
mod centroids;
mod defaults;
mod lloyd;
mod seeding;
mod signal;
#[cfg(test)]
mod tests;

pub use assign::{Assigned, Assigner};
pub use centroids::{Centroids, Geometry};
pub use defaults::{FIT_DOCUMENTS_A_CLUSTER, default_clusters};
pub use lloyd::{LloydPass, LloydStep};
pub use seeding::{seed_centroids, seeding_documents};
pub use signal::{CLUSTER, Clusters, SECOND, SIMILARITY, SIZE};
