//! What was asked and answered.

/// One request and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `GET` and so on.
    pub method: String,
    /// Path and query as they were sent.
    pub path: String,
    /// Whether it went to the host of archives and raw files.
    pub files: bool,
    /// Whether it carried credentials.
    pub authorised: bool,
    /// Whether it carried a validator.
    pub conditional: bool,
    /// The answer's status; 0 when there was none.
    pub status: u16,
    /// The bytes of the answer's body.
    pub bytes: usize,
}
