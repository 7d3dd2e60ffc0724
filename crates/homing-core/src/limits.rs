//! How much a source may bring.

/// How much is taken from a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one file; a larger one is left out and reported.
    pub max_file_size: u64,
    /// Bytes in all; more end the listing.
    pub max_total_size: u64,
    /// Files in all; more end the listing.
    pub max_files: usize,
}

impl Limits {
    /// No limits, for a place that Homing itself fills.
    pub const NONE: Self = Self {
        max_file_size: u64::MAX,
        max_total_size: u64::MAX,
        max_files: usize::MAX,
    };
}

impl Default for Limits {
    /// Returns the limits of a source that configures none: 10 MiB a file, 1 GiB and 50,000 files in all.
    fn default() -> Self {
        Self {
            max_file_size: 10 << 20,
            max_total_size: 1 << 30,
            max_files: 50_000,
        }
    }
}
