//! Whose everything here is, and where.

/// AWS account.
pub(crate) const ACCOUNT: &str = "000000000000";
/// AWS region.
pub(crate) const REGION: &str = "us-east-1";
