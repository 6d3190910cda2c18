//! What functions print, line by line.

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{ChildStderr, ChildStdout};

use crate::LogSink;

/// Longer lines are cut in pieces, as `CloudWatch` does.
const LINE: usize = 256 << 10;

/// One of the two outputs of a process.
pub(crate) type Pipe = Box<dyn AsyncRead + Send + Unpin>;

/// Hands lines to `sink` until the pipe ends.
pub(crate) async fn forward(pipe: Pipe, function: String, sink: LogSink) {
    let mut reader = BufReader::new(pipe);
    let mut line = Vec::new();
    let emit = |line: &mut Vec<u8>| {
        let text = String::from_utf8_lossy(line);
        sink(&function, text.trim_end_matches(['\r', '\n']));
        line.clear();
    };
    while let Ok(available) = reader.fill_buf().await {
        if available.is_empty() {
            break;
        }
        let end = available
            .iter()
            .position(|byte| *byte == b'\n')
            .map(|at| at + 1);
        let count = end.unwrap_or(available.len());
        line.extend_from_slice(&available[..count]);
        reader.consume(count);
        if end.is_some() || line.len() >= LINE {
            emit(&mut line);
        }
    }
    if !line.is_empty() {
        emit(&mut line);
    }
}

/// Boxes an output of a process.
pub(crate) fn stdout(pipe: ChildStdout) -> Pipe {
    Box::new(pipe)
}

/// Boxes an output of a process.
pub(crate) fn stderr(pipe: ChildStderr) -> Pipe {
    Box::new(pipe)
}
