//! What an endpoint answers, in lines: `:` and an integer, `$` and a text, `-` for nothing, `*` for elements within. The first line
//! is the number of operations.

use leasehold::fuzzing::{Element, admit_reply, batch_reply, server_error, wake};
use leasehold::protocol::call::CallError;
use leasehold::protocol::wire::{AdmitReply, BATCH_LEN_MAX, BatchReply};
use leasehold::protocol::{HandOver, Reply};

pub(super) fn run(text: &str) {
    let mut lines = text.split('\n');
    let operations = lines.next().and_then(|count| count.parse::<usize>().ok()).unwrap_or_default();
    let operations = operations.min(BATCH_LEN_MAX);
    let elements: Vec<Element> = lines.map(element).collect();
    if let Some(HandOver { name, owner, member, .. }) = elements.first().cloned().and_then(wake) {
        let said = match elements.first() {
            Some(Element::Text(text)) => text.clone(),
            Some(Element::Bytes(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
            other => panic!("{other:?} says that {name} was handed over"),
        };
        assert!(
            said.to_ascii_lowercase().starts_with(&format!("{name} {owner} ")) && said.ends_with(&*member)
        );
    }
    let reply = Element::Array(elements.clone());
    match batch_reply(reply.clone(), operations) {
        Ok(BatchReply::Done { server_time_us, replies }) => {
            assert_eq!(replies.len(), operations);
            // Printed as the script prints them, they are what was read.
            let mut printed = vec![int(server_time_us)];
            printed.extend(replies.iter().flat_map(print));
            let texts = elements.iter().zip(&printed).map(|(read, printed)| fill(read, printed));
            assert_eq!(texts.collect::<Vec<_>>(), printed);
        }
        Ok(BatchReply::NotAdmitted(_)) => assert_eq!(elements.first(), Some(&Element::Int(-1))),
        Err(CallError::Unknown(reason)) => assert!(!reason.is_empty()),
        // Of a reply that is none nothing is known: certainly not that nothing ran.
        Err(error) => panic!("{error:?}"),
    }
    match admit_reply(reply) {
        Ok(AdmitReply::Admitted { server_time_us, quarantined_ms, .. }) => {
            assert_eq!(elements.first(), Some(&int(server_time_us)));
            assert_eq!(elements.get(2), Some(&int(quarantined_ms)));
        }
        Ok(AdmitReply::Refused(_)) => assert_eq!(elements.first(), Some(&Element::Int(-2))),
        Err(CallError::Unknown(reason)) => assert!(!reason.is_empty()),
        Err(error) => panic!("{error:?}"),
    }
}

/// What a server says went wrong.
pub(super) fn errors(text: &str) {
    let reason = match server_error(text) {
        CallError::NoScript => {
            assert!(text.starts_with("NOSCRIPT"));
            return;
        }
        CallError::Refused(reason) => {
            let word = text.split(' ').next().unwrap_or_default();
            assert!(word.chars().all(|c| c.is_ascii_uppercase()), "{word:?} proves that nothing ran");
            assert_eq!(&*reason, text, "a server's own words");
            reason
        }
        CallError::Unknown(reason) => reason,
    };
    assert!(reason.len() < 300 + text.len());
}

fn element(line: &str) -> Element {
    let number = |digits: &str| digits.parse().ok().map(Element::Int);
    match line.split_at_checked(1) {
        Some((":", digits)) => number(digits).unwrap_or(Element::Null),
        Some(("$", text)) => Element::Text(text.to_owned()),
        Some(("%", bytes)) => Element::Bytes(bytes.as_bytes().to_vec()),
        Some(("*", line)) => Element::Array(vec![Element::Text(line.to_owned())]),
        _ => Element::Null,
    }
}

/// A number as a reply has it; one that it cannot have is nothing.
fn int(number: u64) -> Element {
    i64::try_from(number).map_or(Element::Null, Element::Int)
}

/// Code and value of a reply. Where the script prints a value that nobody reads, there is nothing.
fn print(reply: &Reply) -> [Element; 2] {
    let (code, value) = match reply {
        Reply::Granted { fence } => (1, int(fence.get())),
        Reply::Released => (2, Element::Null),
        Reply::Held { left_ms } => (3, int(*left_ms)),
        Reply::Missing => (4, Element::Null),
        Reply::NotALock => (5, Element::Null),
        Reply::Superseded => (6, Element::Null),
        Reply::Quarantined { left_ms } => (7, int(*left_ms)),
        Reply::TtlTooLong { max_ms } => (8, int(*max_ms)),
        Reply::Refused(reason) => (9, Element::Text(reason.to_string())),
        Reply::Waiting { left_ms, ahead } => (10, int(u64::from(*ahead) << 32 | left_ms)),
        Reply::NotSent(_) | Reply::Unknown(_) => panic!("no endpoint says {reply:?}"),
    };
    [Element::Int(code), value]
}

/// What was read, without what nobody reads of it.
fn fill(read: &Element, printed: &Element) -> Element {
    match (read, printed) {
        (_, Element::Null) => Element::Null,
        (Element::Bytes(bytes), _) => Element::Text(String::from_utf8_lossy(bytes).into_owned()),
        (read, _) => read.clone(),
    }
}
