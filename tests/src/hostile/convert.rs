//! Field descriptions of others: any file is refused with a place in it, or gives a dialect file that loads, and in which
//! messages are written and read.
//!
//! Input: the file. Its first byte tells XML from JSON and YAML, as it does for the command.

use super::dialect::speak;
use crate::converter::{Converted, Fault, convert};
use yika_codec::Dialect;

/// The places of other parsers count from 1, and may lie one line behind the last.
const BEHIND_LINES: u64 = 1;

pub(super) fn run(data: &[u8]) {
    match convert(data, None, None, "hostile.file") {
        Ok(Converted { toml, notes }) => {
            let dialect = Dialect::from_toml("converted.toml", &toml, &|_| None)
                .unwrap_or_else(|errors| panic!("{errors}\n{toml}"));
            notes.iter().for_each(|note| one_line(&note.to_string()));
            speak(&dialect);
        }
        Err(Fault { place, what }) => {
            let lines = 1 + String::from_utf8_lossy(data).matches(['\n', '\r', '\u{85}']).count() as u64;
            if let Some((line, _)) = place {
                assert!(line <= lines + BEHIND_LINES, "line {line} of {lines}: {what}");
            }
            one_line(&what);
        }
    }
}

/// What a person reads in a terminal: no line ends and no codes of a file's own.
fn one_line(text: &str) {
    assert!(!text.is_empty() && !text.chars().any(char::is_control), "{text:?}");
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    [JPOS, JPOS_PARTS, MOOV, MOOV_YAML].map(|seed| seed.as_bytes().to_vec()).to_vec()
}

const JPOS: &str = r#"<?xml version="1.0"?>
<!DOCTYPE isopackager SYSTEM "a.dtd" [<!ENTITY e "x">]>
<isopackager headerLength="5" maxValidField="128">
<isofield id="0" length="4" name="type" class="org.jpos.iso.IFB_NUMERIC" pad="true"/>
<isofield id="1" length="24" name="map" class="org.jpos.iso.IFB_BITMAP"/>
<isofield id="2" length="19" name="card &amp; more" class="org.jpos.iso.IFB_LLNUM" pad="false"/>
<isofield id="4" length="13" name="" class="IFE_NUMERIC"/>
<isofield id="28" length="9" class="IFB_AMOUNT"/>
<isofield id="35" length="37" class="IFB_LLHNUM" pad="true"/>
<isofield id="41" length="8" class="IFE_CHAR"/>
<isofield id="52" length="8" class="IFA_BINARY"/>
<isofield id="55" length="999" class="IFB_LLLHBINARY"/>
<isofield id="60" length="99" class="IFEB_LLNUM"/>
<isofield id="61" length="99" class="IFA_LLABINARY"/>
<isofield id="62" length="30" class="IF_TCHAR" token="FF"/>
<isofield id="130" length="9" class="IFA_FLLCHAR"/>
</isopackager>"#;

const JPOS_PARTS: &str = r#"<isopackager>
<isofield id="0" length="4" class="IFA_NUMERIC"/><isofield id="1" length="16" class="IFA_BITMAP"/>
<isofieldpackager id="48" length="99" class="IFA_LLLCHAR" packager="GenericSubFieldPackager" emitBitmap="false" firstField="0">
<isofield id="0" length="3" class="IFA_NUMERIC"/><isofield id="1" length="9" class="IFB_LLNUM"/>
<isofieldpackager id="2" length="40" class="IFA_LLCHAR" packager="GenericSubFieldPackager" emitBitmap="false">
<isofield id="1" length="3" class="IF_CHAR"/></isofieldpackager></isofieldpackager>
<isofieldpackager id="62" length="99" class="IFA_LLLCHAR" packager="EuroSubFieldPackager">
<isofield id="1" length="9" class="IFEP_LLCHAR"/><isofield id="20" length="9" class="IFEP_LLCHAR"/></isofieldpackager>
<isofieldpackager id="55" length="99" class="IFA_LLLBINARY" packager="BERTLVBinaryPackager"/>
</isopackager>"#;

const MOOV: &str = r#"{"name": "mine", "fields": {
"0": {"type": "String", "length": 4, "enc": "BCD", "prefix": "BCD.Fixed"},
"1": {"type": "Bitmap", "length": 8, "enc": "Binary", "prefix": "Binary.Fixed"},
"2": {"type": "String", "length": 19, "enc": "BCD", "prefix": "BCD.LL"},
"3": {"type": "Numeric", "length": 6, "enc": "EBCDIC", "prefix": "EBCDIC.Fixed", "padding": {"type": "Left", "pad": "0"}},
"35": {"type": "Track2", "length": 37, "enc": "LBCD", "prefix": "Binary.L"},
"41": {"type": "String", "length": 8, "enc": "EBCDIC1047", "prefix": "None.Fixed", "padding": {"type": "Left", "pad": " "}},
"52": {"type": "Binary", "length": 8, "enc": "HexToASCII", "prefix": "Hex.Fixed"},
"55": {"type": "Composite", "length": 255, "prefix": "ASCII.LLL", "tag": {"enc": "BerTLVTag", "sort": "StringsByHex"},
"subfields": {"9F02": {"type": "Hex", "enc": "Binary", "prefix": "BerTLV"}}},
"48": {"type": "Composite", "length": 99, "prefix": "Hex.LL", "tag": {"length": 2, "enc": "ASCII", "padding": {"type": "Left", "pad": "0"}},
"subfields": {"1": {"type": "String", "length": 9, "enc": "ASCII", "prefix": "ASCII.LL"}}},
"60": {"type": "Composite", "length": 9, "prefix": "ASCII.Fixed", "tag": {"sort": "StringsByInt"},
"subfields": {"1": {"type": "Numeric", "length": 2, "enc": "BCD", "prefix": "BCD.Fixed"}, "2": {"type": "String", "length": 8, "enc": "ASCII", "prefix": "ASCII.Fixed"}}}}}"#;

const MOOV_YAML: &str = "name: mine\nfields:\n  0: &mti {type: String, length: 4, enc: ASCII, prefix: ASCII.Fixed}\n  \
1:\n    type: Bitmap\n    length: 16\n    enc: HexToASCII\n    prefix: Hex.Fixed\n    disableautoexpand: true\n  \
70: *mti\n  130: {type: Numeric, length: 3, enc: ASCII, prefix: ASCII.LLL}\n";
