//! A server for tests: threads over a listener, and whatever is wrong with it. Other rooms' tests include this file.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

/// What was asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Value,
}

impl Asked {
    /// The text to judge or to embed first, wherever a dialect has it.
    pub(crate) fn text(&self) -> &str {
        let body = &self.body;
        [
            &body["prompt"],
            &body["messages"][0]["content"],
            &body["content"],
            &body["input"][0],
            &body["inputs"][0],
        ]
        .into_iter()
        .find_map(Value::as_str)
        .unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// What is answered.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// A status and JSON.
    Json(u16, Value),
    /// A status, header lines, and bytes.
    Raw(u16, Vec<String>, Vec<u8>),
    /// Nothing for so long, then the end of the connection.
    Hang(Duration),
    /// The connection ends without an answer.
    Close,
    /// Fewer bytes than were promised, then the end.
    Half(Vec<u8>),
}

/// A running server; it stops when it is dropped.
pub(crate) struct Stub {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    stop: Arc<AtomicBool>,
}

impl Stub {
    pub(crate) fn start(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let answer = Arc::new(answer);
        let (log, stopped) = (Arc::clone(&asked), Arc::clone(&stop));
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let (answer, log) = (Arc::clone(&answer), Arc::clone(&log));
                std::thread::spawn(move || connection.map(|stream| serve(stream, &*answer, &log)));
            }
        });
        Self { address, asked, stop }
    }

    /// `http://127.0.0.1:PORT`
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All requests so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the listener, which then goes away.
        let _ = TcpStream::connect(self.address);
    }
}

/// A connection may be broken off by the client at any point: nothing here fails.
fn serve(stream: TcpStream, answer: &dyn Fn(&Asked) -> Reply, log: &Mutex<Vec<Asked>>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut stream = stream;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|bytes| *bytes > 0)?;
        let path = line.split(' ').nth(1)?.to_owned();
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let mut asked = Asked { path, headers, body: Value::Null };
        let length = asked.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        asked.body = serde_json::from_slice(&body).unwrap_or_default();
        let reply = answer(&asked);
        log.lock().unwrap().push(asked);
        let (status, headers, body, promised) = match reply {
            Reply::Json(status, value) => {
                let body = value.to_string().into_bytes();
                (status, Vec::new(), body.clone(), body.len())
            }
            Reply::Raw(status, headers, body) => {
                let promised = body.len();
                (status, headers, body, promised)
            }
            Reply::Half(body) => {
                let promised = 2 * body.len() + 1;
                (200, Vec::new(), body, promised)
            }
            Reply::Hang(time) => {
                std::thread::sleep(time);
                return None;
            }
            Reply::Close => return None,
        };
        let mut head = format!("HTTP/1.1 {status} Status\r\nContent-Length: {promised}\r\n");
        for header in headers {
            head += &format!("{header}\r\n");
        }
        // In one piece: small pieces would wait for the other side's acknowledgement, 40 ms each.
        head += "Content-Type: application/json\r\n\r\n";
        stream.write_all(&[head.as_bytes(), &body].concat()).ok()?;
        if body.len() < promised {
            return None;
        }
    }
}

/// A number in [0, 1) that a text decides.
fn share(text: &str, salt: u64) -> f64 {
    let mut hash = 0xcbf2_9ce4_8422_2325 ^ salt;
    for byte in text.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash ^= hash >> 29;
    (hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 11) as f64 / (1_u64 << 53) as f64
}

/// What the well-behaved model says of a prompt: tokens with their probabilities. About one in five texts has no "no".
pub(crate) fn opinion(prompt: &str) -> Vec<(&'static str, f64)> {
    let yes = 0.9 * share(prompt, 1);
    let no = 0.95 - yes;
    let mut tokens = vec![(" yes", 0.8 * yes), ("Yes", 0.2 * yes), (" The", 0.02), ("\n", 0.01)];
    if share(prompt, 2) > 0.2 {
        tokens.extend([(" no", 0.9 * no), ("No", 0.1 * no)]);
    }
    tokens.sort_by(|a, b| b.1.total_cmp(&a.1));
    tokens
}

/// Embedding of the well-behaved model: four numbers.
pub(crate) fn embedding(text: &str) -> Vec<f64> {
    (3..7).map(|salt| share(text, salt) - 0.5).collect()
}

/// An answer to one prompt, in the dialect of `/v1/completions` or of chat.
pub(crate) fn completion(asked: &Asked, tokens: &[(&str, f64)]) -> Value {
    let usage = json!({ "prompt_tokens": asked.text().split_whitespace().count() });
    let logprobs = if asked.path.ends_with("chat/completions") {
        let list: Vec<Value> = tokens
            .iter()
            .map(|(text, p)| json!({ "token": text, "logprob": p.ln(), "bytes": text.as_bytes() }))
            .collect();
        json!({ "content": [{ "token": tokens[0].0, "logprob": tokens[0].1.ln(), "top_logprobs": list }] })
    } else {
        let map: serde_json::Map<String, Value> =
            tokens.iter().map(|(text, p)| ((*text).to_owned(), json!(p.ln()))).collect();
        json!({ "tokens": [tokens[0].0], "token_logprobs": [tokens[0].1.ln()], "top_logprobs": [map] })
    };
    json!({ "object": "text_completion", "choices": [{ "index": 0, "text": tokens[0].0, "logprobs": logprobs }], "usage": usage })
}

/// A server that does all it should, as a gateway that has the models `fake` and `other` would.
pub(crate) fn well_behaved(asked: &Asked) -> Reply {
    match asked.path.as_str() {
        "/v1/models" => {
            let model = |id: &str| json!({ "id": id, "object": "model", "owned_by": "tests" });
            Reply::Json(200, json!({ "object": "list", "data": [model("fake"), model("other")] }))
        }
        "/v1/completions" | "/v1/chat/completions" => {
            Reply::Json(200, completion(asked, &opinion(&format!("{}{}", asked.body["model"], asked.text()))))
        }
        "/v1/embeddings" => {
            let texts = asked.body["input"].as_array().unwrap();
            // Not in order, as servers may.
            let data: Vec<Value> = texts
                .iter()
                .enumerate()
                .rev()
                .map(|(at, text)| json!({ "index": at, "embedding": embedding(&format!("{}{text}", asked.body["model"])) }))
                .collect();
            Reply::Json(200, json!({ "object": "list", "data": data }))
        }
        _ => Reply::Json(404, json!({ "error": { "message": "no such page" } })),
    }
}
