//! The `jobs` function as AWS Lambda starts it.

#[tokio::main]
async fn main() -> Result<(), lambda_http::Error> {
    cipherfn_function_jobs::run().await
}
