//! The emulator from outside: real processes that run `lambda_runtime`, and the real S3 client.

mod faults;
mod gateway;
mod invoke;
mod lambda;
mod s3;
mod s3_data;
mod s3_multipart;
mod s3_reads;
mod s3_signatures;
mod states;
mod support;
