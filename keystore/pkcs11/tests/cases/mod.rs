//! What a token has to do, each case on a token of its own.

mod work;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::session::UserType;
use cryptoki::types::AuthPin;
use yika_pkcs11::{Purpose, SealedLmk, Token, TokenError, TokenSettings};

type Case = fn(&Path, &Path);

pub(crate) const ALL: [(&str, Case); 13] = [
    ("a_missing_library_names_the_package", a_missing_library_names_the_package),
    ("a_missing_token_lists_the_others", a_missing_token_lists_the_others),
    ("a_pin_file_that_others_may_read_is_refused", a_pin_file_that_others_may_read_is_refused),
    ("a_wrong_pin_is_told_and_not_tried_again", a_wrong_pin_is_told_and_not_tried_again),
    ("a_lost_session_is_opened_again", a_lost_session_is_opened_again),
    ("threads_share_a_few_sessions", threads_share_a_few_sessions),
    ("a_master_key_rests_sealed", a_master_key_rests_sealed),
    ("keys_do_what_they_were_made_for_alone", work::keys_do_what_they_were_made_for_alone),
    ("macs_agree_with_a_second_implementation", work::macs_agree_with_a_second_implementation),
    ("data_agrees_with_a_second_implementation", work::data_agrees_with_a_second_implementation),
    ("signatures_hold_by_a_second_implementation", work::signatures_hold_by_a_second_implementation),
    ("a_backend_answers_as_software_does", work::a_backend_answers_as_software_does),
    ("random_numbers_differ", work::random_numbers_differ),
];

pub(crate) const LABEL: &str = "yika";
const PIN: &str = "4711-0815";

/// A token of this label, initialized, with a user's PIN.
pub(crate) fn initialize(library: &Path, label: &str) -> Pkcs11 {
    let context = context(library);
    let free = context.get_all_slots().unwrap();
    let slot =
        free.into_iter().find(|slot| !context.get_token_info(*slot).unwrap().token_initialized()).unwrap();
    context.init_token(slot, &AuthPin::new("officer-1".into()), label).unwrap();
    let session = context.open_rw_session(slot).unwrap();
    session.login(UserType::So, Some(&AuthPin::new("officer-1".into()))).unwrap();
    session.init_pin(&AuthPin::new(PIN.into())).unwrap();
    session.logout().unwrap();
    drop(session);
    context
}

fn context(library: &Path) -> Pkcs11 {
    let context = Pkcs11::new(library).unwrap();
    let _ = context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK));
    context
}

pub(crate) fn settings(library: &Path, folder: &Path) -> TokenSettings {
    let (library, pin_file) = (library.to_owned(), pin_file(folder, PIN, 0o600));
    TokenSettings { library, token: LABEL.to_owned(), pin_file, sessions_max: 4 }
}

fn pin_file(folder: &Path, pin: &str, mode: u32) -> PathBuf {
    let path = folder.join("pin");
    std::fs::write(&path, format!("{pin}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    path
}

pub(crate) fn opened(library: &Path, folder: &Path) -> Token {
    initialize(library, LABEL);
    Token::open(&settings(library, folder)).unwrap()
}

fn refusal(settings: &TokenSettings) -> TokenError {
    match Token::open(settings) {
        Ok(_) => panic!("it was opened"),
        Err(error) => error,
    }
}

fn a_missing_library_names_the_package(library: &Path, folder: &Path) {
    let mut settings = settings(library, folder);
    settings.library = folder.join("none.so");
    let error = refusal(&settings);
    assert!(matches!(error, TokenError::Library { .. }));
    assert!(error.to_string().contains("softhsm2") && error.to_string().contains("none.so"), "{error}");
    // A file that is no library.
    settings.library = pin_file(folder, "no library", 0o600);
    assert!(matches!(refusal(&settings), TokenError::Library { .. }));
}

fn a_missing_token_lists_the_others(library: &Path, folder: &Path) {
    let settings = settings(library, folder);
    let error = refusal(&settings);
    assert!(error.to_string().contains("the library has none at all"), "{error}");
    initialize(library, "other one");
    initialize(library, "another");
    let error = refusal(&settings);
    let TokenError::NotFound { wanted, mut found } = error else { panic!("{error}") };
    found.sort();
    assert_eq!((wanted.as_str(), found), (LABEL, vec!["another".to_owned(), "other one".to_owned()]));
}

fn a_pin_file_that_others_may_read_is_refused(library: &Path, folder: &Path) {
    initialize(library, LABEL);
    let mut settings = settings(library, folder);
    for mode in [0o640, 0o604, 0o644, 0o660] {
        settings.pin_file = pin_file(folder, PIN, mode);
        let error = refusal(&settings).to_string();
        assert!(error.contains("chmod 600") && !error.contains(PIN), "{error}");
    }
    for text in ["", "\n", "two\nlines"] {
        settings.pin_file = pin_file(folder, text, 0o600);
        assert!(matches!(refusal(&settings), TokenError::PinFile { .. }), "{text:?}");
    }
    settings.pin_file = folder.join("none");
    assert!(matches!(refusal(&settings), TokenError::PinFile { .. }));
    settings.pin_file = pin_file(folder, PIN, 0o400);
    assert!(Token::open(&settings).is_ok());
    settings.sessions_max = 0;
    assert!(matches!(refusal(&settings), TokenError::Input { .. }));
}

fn a_wrong_pin_is_told_and_not_tried_again(library: &Path, folder: &Path) {
    initialize(library, LABEL);
    let mut settings = settings(library, folder);
    settings.pin_file = pin_file(folder, "not-the-pin", 0o600);
    let error = refusal(&settings);
    let TokenError::WrongPin { token, tries } = &error else { panic!("{error}") };
    assert_eq!(token, LABEL);
    assert!(tries.contains("tries"), "{tries}");
    assert!(!error.to_string().contains("not-the-pin"), "{error}");
    settings.pin_file = pin_file(folder, PIN, 0o600);
    assert!(Token::open(&settings).is_ok());
}

fn a_lost_session_is_opened_again(library: &Path, folder: &Path) {
    let token = opened(library, folder);
    token.create_key("mac", Purpose::Cmac(16)).unwrap();
    let before = token.cmac("mac", b"data").unwrap();
    for _ in 0..3 {
        // As if the token had been taken out: no session of before is known any more.
        Pkcs11::new(library).unwrap().finalize().unwrap();
        context(library);
        assert_eq!(token.cmac("mac", b"data").unwrap(), before);
    }
    // And now it does not come back.
    Pkcs11::new(library).unwrap().finalize().unwrap();
    std::fs::rename(folder.join("tokens"), folder.join("elsewhere")).unwrap();
    std::fs::create_dir(folder.join("tokens")).unwrap();
    context(library);
    let error = token.cmac("mac", b"data").unwrap_err();
    assert!(matches!(error, TokenError::NotFound { .. }), "{error}");
    // Until it does.
    Pkcs11::new(library).unwrap().finalize().unwrap();
    std::fs::remove_dir(folder.join("tokens")).unwrap();
    std::fs::rename(folder.join("elsewhere"), folder.join("tokens")).unwrap();
    context(library);
    assert_eq!(token.cmac("mac", b"data").unwrap(), before);
}

fn threads_share_a_few_sessions(library: &Path, folder: &Path) {
    let token = opened(library, folder);
    token.create_key("mac", Purpose::Cmac(32)).unwrap();
    let expected = token.cmac("mac", b"data").unwrap();
    std::thread::scope(|scope| {
        // Twice as many as there are sessions.
        for _ in 0..8 {
            scope.spawn(|| (0..50).for_each(|_| assert_eq!(token.cmac("mac", b"data").unwrap(), expected)));
        }
    });
}

fn a_master_key_rests_sealed(library: &Path, folder: &Path) {
    let token = opened(library, folder);
    token.create_key("custody", Purpose::Custody).unwrap();
    token.create_key("custody-2", Purpose::Custody).unwrap();
    let (lmk, sealed) = token.draw_lmk("custody").unwrap();
    let read = SealedLmk::parse(&format!("{}\n", sealed.text())).unwrap();
    assert_eq!((&read, read.check_value()), (&sealed, lmk.check_value()));
    assert_eq!(token.open_lmk("custody", &read).unwrap().check_value(), lmk.check_value());
    assert_ne!(token.draw_lmk("custody").unwrap().0.check_value(), lmk.check_value());

    let is_sealed = |error| matches!(error, TokenError::Sealed { .. });
    assert!(is_sealed(token.open_lmk("custody-2", &sealed).err().unwrap()));
    assert!(matches!(token.open_lmk("none", &sealed), Err(TokenError::NoKey { .. })));
    let text = sealed.text();
    for at in 0..text.len() {
        let mut changed = text.clone().into_bytes();
        changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
        let changed = String::from_utf8(changed).unwrap();
        match SealedLmk::parse(&changed) {
            Ok(changed) => assert!(is_sealed(token.open_lmk("custody", &changed).err().unwrap()), "{at}"),
            Err(error) => assert!(is_sealed(error), "{at}"),
        }
        assert!(SealedLmk::parse(&text[..at]).is_err(), "cut at {at}");
    }
    // A part in the other's place, and twice the same.
    let words: Vec<&str> = text.split(' ').collect();
    for parts in [[3, 2], [2, 2]] {
        let mixed = format!("{} {} {} {}", words[0], words[1], words[parts[0]], words[parts[1]]);
        assert!(is_sealed(token.open_lmk("custody", &SealedLmk::parse(&mixed).unwrap()).err().unwrap()));
    }
    let equal = [zeroize::Zeroizing::new([7; 32]), zeroize::Zeroizing::new([7; 32])];
    assert!(is_sealed(token.seal_lmk("custody", &equal).err().unwrap()));
}
