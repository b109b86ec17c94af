//! A Lambda function that does nothing: what Lifeboat's cold start is measured against.

use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let answer = async |event: LambdaEvent<Value>| Ok::<Value, Error>(event.payload);
    lambda_runtime::run(service_fn(answer)).await
}
