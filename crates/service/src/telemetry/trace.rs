//! X-Ray subsegments: one a stage, sent to the daemon that AWS Lambda runs beside a function with
//! active tracing. Locally there is no daemon and nothing is sent.

use crate::config;
use std::net::UdpSocket;
use std::time::{SystemTime, UNIX_EPOCH};

/// Address of the daemon, set by AWS Lambda.
const DAEMON: &str = "AWS_XRAY_DAEMON_ADDRESS";

/// The trace that an invocation belongs to.
#[derive(Debug)]
pub struct Trace {
    root: String,
    parent: String,
    socket: UdpSocket,
}

impl Trace {
    /// From an invocation's trace header, `Root=...;Parent=...;Sampled=1`; none where it isn't
    /// sampled or there is no daemon.
    pub fn of(header: Option<&str>) -> Option<Self> {
        Self::to(&config::text(DAEMON)?, header?)
    }

    fn to(daemon: &str, header: &str) -> Option<Self> {
        let field = |name: &str| {
            header
                .split(';')
                .find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='))
                .map(str::to_owned)
        };
        if field("Sampled")? != "1" {
            return None;
        }
        let (root, parent) = (field("Root")?, field("Parent")?);
        // `udp:host:port tcp:host:port`, or one address.
        let address = daemon
            .split(' ')
            .find_map(|part| part.strip_prefix("udp:"))
            .unwrap_or(daemon);
        let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
        socket.connect(address).ok()?;
        socket.set_nonblocking(true).ok()?;
        Some(Self {
            root,
            parent,
            socket,
        })
    }

    /// Reports a finished stage. A lost datagram is a gap in a picture and nothing else.
    pub fn stage(&self, name: &str, start: SystemTime, end: SystemTime) {
        let seconds = |time: SystemTime| {
            time.duration_since(UNIX_EPOCH)
                .unwrap_or_default()
                .as_secs_f64()
        };
        let id = cipherfn_protocol::hash::Hash::of(
            format!("{} {name} {start:?} {end:?}", self.parent).as_bytes(),
        )
        .to_string();
        let segment = serde_json::json!({
            "type": "subsegment",
            "name": name,
            "id": &id[..16],
            "trace_id": self.root,
            "parent_id": self.parent,
            "start_time": seconds(start),
            "end_time": seconds(end),
        });
        let _ = self
            .socket
            .send(format!("{{\"format\": \"json\", \"version\": 1}}\n{segment}").as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn stages_reach_the_daemon() {
        let daemon = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = format!("tcp:127.0.0.1:1 udp:{}", daemon.local_addr().unwrap());
        assert!(Trace::to(&address, "Root=1-2-3;Parent=53995c3f42cd8ad8;Sampled=0").is_none());
        assert!(Trace::to(&address, "Root=1-2-3").is_none());
        let trace = Trace::to(&address, "Root=1-2-3;Parent=53995c3f42cd8ad8;Sampled=1").unwrap();
        trace.stage("Evaluate", UNIX_EPOCH, UNIX_EPOCH + Duration::from_secs(2));
        let mut bytes = [0; 1024];
        let len = daemon.recv(&mut bytes).unwrap();
        let text = std::str::from_utf8(&bytes[..len]).unwrap();
        let (header, segment) = text.split_once('\n').unwrap();
        assert_eq!(header, r#"{"format": "json", "version": 1}"#);
        let segment: serde_json::Value = serde_json::from_str(segment).unwrap();
        assert_eq!(segment["trace_id"], "1-2-3");
        assert_eq!(segment["parent_id"], "53995c3f42cd8ad8");
        assert_eq!(segment["end_time"], 2.0);
        assert_eq!(segment["id"].as_str().unwrap().len(), 16);
    }
}
