//! Secrets that custodians type: read from the terminal itself, never shown, wiped when dropped. The terminal is as
//! it was afterwards, also when the typing is broken off.

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, isatty, tcgetattr, tcsetattr};
use std::fs::File;
use std::io::{self, Read, Write};
use zeroize::Zeroizing;

/// Longer than the longest component in hex.
const TYPED_BYTES_MAX: usize = 256;
const INTERRUPT: u8 = 0x03;
const END: u8 = 0x04;
const ERASE: [u8; 2] = [0x08, 0x7F];

/// A terminal that shows nothing of what is typed while this lives.
pub(super) struct Silent {
    terminal: File,
    before: Termios,
}

impl Silent {
    /// The terminal of this process, wherever its standard streams go.
    ///
    /// # Errors
    /// When it has none.
    pub(super) fn open() -> io::Result<Silent> {
        Silent::on(File::options().read(true).write(true).open("/dev/tty")?)
    }

    fn on(terminal: File) -> io::Result<Silent> {
        if !isatty(&terminal) {
            return Err(io::Error::other("it is no terminal"));
        }
        let before = tcgetattr(&terminal)?;
        let mut silent = before.clone();
        // Signals come as characters, so that a break leaves no terminal behind that shows nothing.
        silent.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        silent.special_codes[SpecialCodeIndex::VMIN] = 1;
        silent.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(&terminal, OptionalActions::Flush, &silent)?;
        Ok(Silent { terminal, before })
    }

    /// Says something on the terminal.
    ///
    /// # Errors
    /// When it is gone.
    pub(super) fn say(&mut self, text: &str) -> io::Result<()> {
        self.terminal.write_all(text.as_bytes())
    }

    /// Asks, and reads up to Enter.
    ///
    /// # Errors
    /// When the terminal is gone, too much is typed, or it is broken off.
    pub(super) fn ask(&mut self, prompt: &str) -> io::Result<Zeroizing<Vec<u8>>> {
        self.say(prompt)?;
        // Of its full size from the start: a vector that grows leaves its old place unwiped.
        let mut typed = Zeroizing::new(Vec::with_capacity(TYPED_BYTES_MAX));
        let mut byte = Zeroizing::new([0]);
        loop {
            if self.terminal.read(&mut *byte)? == 0 {
                return Err(io::Error::other("the terminal is gone"));
            }
            match byte[0] {
                b'\r' | b'\n' => break,
                INTERRUPT | END => return Err(io::Error::other("broken off")),
                erase if ERASE.contains(&erase) => drop(typed.pop()),
                _ if typed.len() == TYPED_BYTES_MAX => {
                    return Err(io::Error::other("too many characters for a component"));
                }
                other => typed.push(other),
            }
        }
        self.say("\n")?;
        Ok(typed)
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    /// A terminal, and the end of whoever sits at it.
    fn terminal() -> (File, File) {
        let at_it = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&at_it).unwrap();
        unlockpt(&at_it).unwrap();
        let name = ptsname(&at_it, Vec::new()).unwrap().into_string().unwrap();
        (File::from(at_it), File::options().read(true).write(true).open(name).unwrap())
    }

    fn echoes(terminal: &File) -> bool {
        tcgetattr(terminal).unwrap().local_modes.contains(LocalModes::ECHO)
    }

    #[test]
    fn what_is_typed_is_not_shown_and_the_terminal_is_as_it_was() {
        let (mut person, terminal) = terminal();
        let kept = terminal.try_clone().unwrap();
        assert!(echoes(&kept));
        let mut silent = Silent::on(terminal).unwrap();
        assert!(!echoes(&kept));
        person.write_all(b"00112X\x7f233\nnext\n").unwrap();
        assert_eq!(*silent.ask("component: ").unwrap(), b"00112233");
        assert_eq!(*silent.ask("again: ").unwrap(), b"next");
        let mut shown = [0; 256];
        let mut text = String::new();
        while !text.contains("again: \r\n") {
            let count = person.read(&mut shown).unwrap();
            text += std::str::from_utf8(&shown[..count]).unwrap();
        }
        assert_eq!(text, "component: \r\nagain: \r\n");
        person.write_all(b"0011\x03").unwrap();
        assert_eq!(silent.ask("").unwrap_err().to_string(), "broken off");
        person.write_all(&[b'0'; TYPED_BYTES_MAX + 1]).unwrap();
        assert!(silent.ask("").unwrap_err().to_string().contains("too many"));
        drop(silent);
        assert!(echoes(&kept), "and it shows again what is typed");
    }

    #[test]
    fn a_file_is_no_terminal() {
        assert!(Silent::on(tempfile::tempfile().unwrap()).is_err());
    }
}
