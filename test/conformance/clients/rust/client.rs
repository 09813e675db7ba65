//! A program with the AWS SDK for Rust.

use std::io::{stdin, stdout, Write};
use std::sync::{Arc, Mutex};

use aws_config::BehaviorVersion;
use aws_sdk_sts::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_sts::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_sts::error::{BoxError, DisplayErrorContext};
use aws_sdk_sts::Client;

/// Records the key that a request was signed with, and stops the request.
#[derive(Clone, Debug, Default)]
struct Key(Arc<Mutex<Option<String>>>);

impl Intercept for Key {
    fn name(&self) -> &'static str {
        "Key"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let header = context.request().headers().get("authorization").unwrap_or_default();
        let key = header.split_once("Credential=").and_then(|(_, rest)| rest.split_once('/'));
        *self.0.lock().unwrap() = key.map(|(key, _)| key.to_owned());
        Err("signed but not sent".into())
    }
}

async fn sign(client: &Client) -> Result<String, String> {
    let key = Key::default();
    let sent = client.get_caller_identity().customize().interceptor(key.clone()).send().await;
    let signed = key.0.lock().unwrap().take();
    signed.ok_or_else(|| format!("{}", DisplayErrorContext(sent.unwrap_err())))
}

/// Returns the name and the value of the answer.
async fn reply(client: &Client, question: &str) -> Result<(&'static str, String), String> {
    match question.split_once(' ').unwrap_or((question, "")) {
        ("hello", _) => Ok(("hello", String::new())),
        ("identity", _) => match client.get_caller_identity().send().await {
            Ok(out) => Ok(("arn", out.arn().unwrap_or_default().to_owned())),
            Err(e) => Err(format!("{}", DisplayErrorContext(e))),
        },
        ("key", _) => Ok(("key", sign(client).await?)),
        (_, n) => {
            for _ in 0..n.parse::<u32>().map_err(|e| e.to_string())? {
                sign(client).await?;
            }
            Ok(("signed", n.to_owned()))
        }
    }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = Client::new(&aws_config::load_defaults(BehaviorVersion::latest()).await);
        for question in stdin().lines() {
            let (name, value) = reply(&client, &question.unwrap()).await.unwrap_or_else(|e| ("error", e));
            let value = value.replace(|c: char| c.is_control() || c == '"' || c == '\\', "'");
            println!("{{\"{name}\": \"{value}\"}}");
            stdout().flush().unwrap();
        }
    });
}
