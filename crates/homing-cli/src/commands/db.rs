//! `homing db`

use serde_json::json;

use crate::arguments::DbCommand;
use crate::context::Context;
use crate::error::CliError;
use crate::output::Report;

/// Looks after the state database.
pub(super) async fn run(command: DbCommand, context: &Context) -> Result<Report, CliError> {
    match command {
        DbCommand::AcceptRebuild => {
            context.client.accept_rebuild().await?;
            let text = "deletions and pushes are allowed again\n".to_owned();
            Ok(Report::new(&json!({}), text))
        }
    }
}
