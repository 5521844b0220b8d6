//! Names of leases: the accepted alphabet, exactly, and the stripe a name draws its tokens from.

use leasehold::protocol::name::{NAME_LEN_MAX, STRIPES};
use leasehold::protocol::{LeaseName, NameError};
use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

const FIRST: &str = "abcdefghijklmnopqrstuvwxyz0123456789";
const REST: &str = "abcdefghijklmnopqrstuvwxyz0123456789_.:-";

/// What the documentation promises, said another way than the code says it.
fn is_name(text: &str) -> bool {
    (1..=NAME_LEN_MAX).contains(&text.len())
        && text.chars().all(|c| REST.contains(c))
        && text.starts_with(|c| FIRST.contains(c))
}

#[test]
fn the_first_character_is_a_small_letter_or_a_digit() {
    for c in char::from(0)..='\u{2fff}' {
        assert_eq!(LeaseName::new(&c.to_string()).is_ok(), FIRST.contains(c), "{c:?}");
    }
}

#[test]
fn the_others_may_also_be_an_underscore_a_point_a_colon_or_a_hyphen() {
    for c in char::from(0)..='\u{2fff}' {
        assert_eq!(LeaseName::new(&format!("a{c}")).is_ok(), REST.contains(c), "{c:?}");
    }
}

#[test]
fn a_name_has_one_to_two_hundred_bytes() {
    assert_eq!(LeaseName::new(""), Err(NameError::Empty));
    assert!(LeaseName::new(&"a".repeat(200)).is_ok());
    assert_eq!(LeaseName::new(&"a".repeat(201)), Err(NameError::TooLong { len: 201 }));
    assert_eq!(
        LeaseName::new(&"é".repeat(101)),
        Err(NameError::TooLong { len: 202 }),
        "bytes, not characters"
    );
}

#[test]
fn an_error_names_the_character_its_place_and_the_remedy() {
    let error = LeaseName::new("tür zu").unwrap_err();
    assert_eq!(error, NameError::Character { name: "tür zu".to_owned(), character: 'ü', at: 1 });
    let text = error.to_string();
    assert!(text.contains("'ü' at byte 1") && text.contains("\"tür zu\"") && text.contains("a-z"), "{text}");

    let error = LeaseName::new("-a").unwrap_err();
    assert_eq!(error, NameError::Character { name: "-a".to_owned(), character: '-', at: 0 });
    let text = LeaseName::new(&"a".repeat(999)).unwrap_err().to_string();
    assert!(text.contains("200") && text.contains("999"), "{text}");
}

/// Tokens of all clients are ordered by stripe: another stripe for a name is another protocol version.
#[test]
fn the_stripe_of_a_name_never_changes() {
    let long = "z".repeat(200);
    let golden = [
        ("a", 816),
        ("0", 2784),
        ("job", 2065),
        ("nightly", 529),
        ("reconciliation:txn:948201", 2547),
        ("user.42:cart_lock-v2", 3724),
        (long.as_str(), 3660),
    ];
    for (name, stripe) in golden {
        assert_eq!(LeaseName::new(name).unwrap().stripe(), stripe, "{name}");
    }
}

#[test]
fn names_spread_over_the_stripes() {
    let mut seen = vec![0u32; STRIPES as usize];
    for number in 0..40_960 {
        seen[LeaseName::new(&format!("order:{number}")).unwrap().stripe() as usize] += 1;
    }
    // Ten a stripe on average; a stripe with forty would mean a checksum that does not mix.
    assert!(seen.iter().all(|&count| count < 40), "{:?}", seen.iter().max());
    assert!(seen.iter().filter(|&&count| count == 0).count() < 40);
}

proptest! {
    #[test]
    fn every_name_makes_a_key_of_plain_characters(name in "[a-z0-9][a-z0-9_.:-]{0,199}") {
        let name = LeaseName::new(&name).unwrap();
        let key = format!("lh:lock:{name}");
        prop_assert!(key.bytes().all(|byte| byte.is_ascii_graphic()));
        // What a pattern of keys or an ACL rule would read as something else.
        let special = ['*', '?', '[', ']', '^', '\\', '"', '\'', '{', '}', '%', '~'];
        let plain = !key.contains(special);
        prop_assert!(plain, "{}", key);
        prop_assert!(name.stripe() < STRIPES);
    }

    #[test]
    fn any_text_is_a_name_or_an_error_and_nothing_else(text in "\\PC{0,220}") {
        prop_assert_eq!(LeaseName::new(&text).is_ok(), is_name(&text));
    }

    #[test]
    fn one_wrong_character_anywhere_spoils_a_name(
        before in "[a-z0-9][a-z0-9_.:-]{0,50}", wrong in "[^a-z0-9_.:-]", after in "[a-z0-9_.:-]{0,50}",
    ) {
        let at = before.len();
        let text = format!("{before}{wrong}{after}");
        let character = wrong.chars().next().unwrap();
        prop_assert_eq!(
            LeaseName::new(&text),
            Err(NameError::Character { name: text.clone(), character, at })
        );
    }
}
