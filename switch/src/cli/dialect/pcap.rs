//! Captures: the bytes that each side of each TCP connection sent, in order. Packets that came twice count once; where
//! one is missing the stream goes on after the gap in a run of its own; what could not be read is counted.

use etherparse::{SlicedPacket, TransportSlice};
use pcap_file::pcap::PcapReader;
use pcap_file::pcapng::{Block, PcapNgReader};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// What was captured, and what of it could not be read.
#[derive(Default)]
pub(super) struct Capture {
    /// In the order in which they began.
    pub(super) streams: Vec<Stream>,
    /// Packets that are cut or damaged.
    pub(super) packets_lost: usize,
    /// Why the file could not be read to its end.
    pub(super) cut: Option<String>,
}

impl Capture {
    /// What is missing, for people; None when nothing is.
    pub(super) fn missing(&self) -> Option<String> {
        let packets = format!("{} packets of the capture are cut or damaged", self.packets_lost);
        match (&self.cut, self.packets_lost) {
            (None, 0) => None,
            (None, _) => Some(packets),
            (Some(why), 0) => Some(format!("the capture ends in the middle: {why}")),
            (Some(why), _) => Some(format!("the capture ends in the middle: {why}; {packets}")),
        }
    }
}

/// What one side of a connection said.
pub(super) struct Stream {
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    /// Runs of bytes without a gap.
    pub(super) runs: Vec<Vec<u8>>,
}

const MAGICS: [[u8; 4]; 5] = [
    [0xA1, 0xB2, 0xC3, 0xD4],
    [0xD4, 0xC3, 0xB2, 0xA1],
    [0xA1, 0xB2, 0x3C, 0x4D],
    [0x4D, 0x3C, 0xB2, 0xA1],
    // Section header of pcapng.
    [0x0A, 0x0D, 0x0D, 0x0A],
];

pub(super) fn is_capture(bytes: &[u8]) -> bool {
    bytes.first_chunk().is_some_and(|magic| MAGICS.contains(magic))
}

/// Segments of one direction by their place in the stream, counted from the first that was seen.
type Segments = BTreeMap<i64, Vec<u8>>;

#[derive(Default)]
struct Flow {
    first: Option<u32>,
    segments: Segments,
}

/// A capture, as far as it can be read.
///
/// # Errors
/// When it is cut off in its header, or holds a kind of link that is not read.
pub(super) fn read(bytes: &[u8]) -> Result<Capture, String> {
    let mut capture = Capture::default();
    let lost = &mut capture.packets_lost;
    let mut flows: Vec<((SocketAddr, SocketAddr), Flow)> = Vec::new();
    let mut take = |packet: &[u8], link: u32| -> Result<(), String> {
        let (ways, sequence, payload) = match tcp(packet, link)? {
            Packet::Tcp(segment) => segment,
            Packet::Other => return Ok(()),
            Packet::Damaged => {
                *lost += 1;
                return Ok(());
            }
        };
        let at = flows.iter().position(|(known, _)| *known == ways).unwrap_or_else(|| {
            flows.push((ways, Flow::default()));
            flows.len() - 1
        });
        let flow = &mut flows[at].1;
        // Sequence numbers wrap; what lies before the first that was seen is a little below it.
        let first = *flow.first.get_or_insert(sequence);
        let place = i64::from(sequence.wrapping_sub(first).cast_signed());
        let kept = flow.segments.entry(place).or_default();
        if kept.len() < payload.len() {
            *kept = payload.to_vec();
        }
        Ok(())
    };
    if bytes.starts_with(&MAGICS[4]) {
        capture.cut = read_pcapng(bytes, &mut take)?;
    } else {
        let mut reader = PcapReader::new(bytes).map_err(|error| format!("is no whole pcap: {error}"))?;
        let link = u32::from(reader.header().datalink);
        while let Some(packet) = reader.next_packet() {
            match packet {
                Ok(packet) => take(&packet.data, link)?,
                Err(error) => {
                    capture.cut = Some(error.to_string());
                    break;
                }
            }
        }
    }
    let streams = flows.into_iter().map(|((from, to), flow)| Stream { from, to, runs: runs(flow.segments) });
    capture.streams = streams.collect();
    Ok(capture)
}

/// Why it could not be read to its end, where it could not.
fn read_pcapng(
    bytes: &[u8],
    take: &mut impl FnMut(&[u8], u32) -> Result<(), String>,
) -> Result<Option<String>, String> {
    let mut reader = PcapNgReader::new(bytes).map_err(|error| format!("is no whole pcapng: {error}"))?;
    let mut links: Vec<u32> = Vec::new();
    while let Some(block) = reader.next_block() {
        let block = match block {
            Ok(block) => block,
            Err(error) => return Ok(Some(error.to_string())),
        };
        match block {
            Block::SectionHeader(_) => links.clear(),
            Block::InterfaceDescription(interface) => links.push(u32::from(interface.linktype)),
            Block::EnhancedPacket(packet) => {
                let link = links.get(packet.interface_id as usize).copied().unwrap_or(LINK_ETHERNET);
                take(&packet.data, link)?;
            }
            Block::SimplePacket(packet) => {
                take(&packet.data, links.first().copied().unwrap_or(LINK_ETHERNET))?;
            }
            _ => {}
        }
    }
    Ok(None)
}

// Link types of libpcap.
const LINK_NULL: u32 = 0;
const LINK_ETHERNET: u32 = 1;
const LINK_RAW: [u32; 4] = [12, 101, 228, 229];
// Linux cooked: version, bytes of its header, and where the protocol stands in it.
const LINK_LINUX: [(u32, usize, usize); 2] = [(113, 16, 14), (276, 20, 0)];

type Ways = (SocketAddr, SocketAddr);

/// From and to, sequence number, payload.
type Segment<'p> = (Ways, u32, &'p [u8]);

/// What a packet is to us.
enum Packet<'p> {
    Tcp(Segment<'p>),
    /// It carries no TCP payload.
    Other,
    Damaged,
}

/// The TCP payload of a packet, with the place it has in its stream.
fn tcp(packet: &[u8], link: u32) -> Result<Packet<'_>, String> {
    let cooked = LINK_LINUX.iter().find(|(of, ..)| *of == link);
    let sliced = match (link, cooked) {
        (_, Some((_, header, protocol))) => {
            if !matches!(packet.get(*protocol..protocol + 2), Some([0x08, 0x00] | [0x86, 0xDD])) {
                return Ok(Packet::Other);
            }
            SlicedPacket::from_ip(packet.get(*header..).unwrap_or_default())
        }
        (LINK_ETHERNET, _) => SlicedPacket::from_ethernet(packet),
        (LINK_NULL, _) => SlicedPacket::from_ip(packet.get(4..).unwrap_or_default()),
        (raw, _) if LINK_RAW.contains(&raw) => SlicedPacket::from_ip(packet),
        (other, _) => {
            return Err(format!(
                "captured on link type {other}; Ethernet, Linux cooked, loopback and raw IP are read"
            ));
        }
    };
    let Ok(sliced) = sliced else { return Ok(Packet::Damaged) };
    let Some(TransportSlice::Tcp(tcp)) = &sliced.transport else { return Ok(Packet::Other) };
    let (from, to): (IpAddr, IpAddr) = match &sliced.net {
        Some(etherparse::NetSlice::Ipv4(ip)) => {
            (ip.header().source_addr().into(), ip.header().destination_addr().into())
        }
        Some(etherparse::NetSlice::Ipv6(ip)) => {
            (ip.header().source_addr().into(), ip.header().destination_addr().into())
        }
        _ => return Ok(Packet::Other),
    };
    let payload = tcp.payload();
    if payload.is_empty() {
        return Ok(Packet::Other);
    }
    let ways = ((from, tcp.source_port()).into(), (to, tcp.destination_port()).into());
    Ok(Packet::Tcp((ways, tcp.sequence_number(), payload)))
}

/// Segments joined, each byte once.
fn runs(segments: Segments) -> Vec<Vec<u8>> {
    let mut runs: Vec<(i64, Vec<u8>)> = Vec::new();
    for (place, bytes) in segments {
        match runs.last_mut() {
            Some((end, run)) if place <= *end => {
                let seen = usize::try_from(*end - place).unwrap_or(usize::MAX);
                run.extend_from_slice(bytes.get(seen..).unwrap_or_default());
                *end = (*end).max(place + bytes.len() as i64);
            }
            _ => runs.push((place + bytes.len() as i64, bytes)),
        }
    }
    runs.into_iter().map(|(_, run)| run).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::PacketBuilder;

    fn packet(from: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
        let builder = PacketBuilder::ethernet2([1; 6], [2; 6])
            .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
            .tcp(from, 7100, sequence, 1024);
        let mut out = Vec::new();
        builder.write(&mut out, payload).unwrap();
        out
    }

    fn capture(packets: &[Vec<u8>]) -> Vec<u8> {
        let mut out = Vec::new();
        for word in [0xA1B2_C3D4u32, 0x0002_0004, 0, 0, 65_535, 1] {
            out.extend_from_slice(&word.to_be_bytes());
        }
        for packet in packets {
            for word in [1, 0, packet.len() as u32, packet.len() as u32] {
                out.extend_from_slice(&word.to_be_bytes());
            }
            out.extend_from_slice(packet);
        }
        out
    }

    #[test]
    fn segments_are_joined_whatever_their_order_and_number() {
        let start = u32::MAX - 1;
        let packets = [
            packet(5000, start, b"abc"),
            packet(5000, start.wrapping_add(6), b"ghi"),
            packet(5001, 1, b"other"),
            packet(5000, start.wrapping_add(3), b"def"),
            packet(5000, start.wrapping_add(2), b"cde"),
            packet(5000, start.wrapping_add(20), b"after a gap"),
        ];
        let bytes = capture(&packets);
        assert!(is_capture(&bytes));
        let found = read(&bytes).unwrap();
        assert_eq!(found.missing(), None);
        let found = found.streams;
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].runs, [b"abcdefghi".to_vec(), b"after a gap".to_vec()]);
        assert_eq!((found[1].from.port(), found[1].to.port()), (5001, 7100));
        for cut in 0..bytes.len() {
            let _ = read(&bytes[..cut]);
        }
    }

    #[test]
    fn what_is_cut_or_damaged_is_told() {
        let packets = [packet(5000, 1, b"abc"), packet(5000, 4, b"def")];
        let whole = capture(&packets);
        let cut = read(&whole[..whole.len() - 3]).unwrap();
        assert_eq!(cut.streams[0].runs, [b"abc".to_vec()]);
        assert!(cut.missing().unwrap().contains("in the middle"));
        let mut damaged = packets;
        // The header of IPv4 says that it has no length.
        damaged[0][14] = 0x40;
        let found = read(&capture(&damaged)).unwrap();
        assert_eq!((found.packets_lost, found.streams[0].runs.len()), (1, 1));
        assert!(found.missing().unwrap().starts_with("1 packets"));
    }

    #[test]
    fn both_versions_of_linux_cooked_are_read_whatever_the_device() {
        let ip = &packet(5000, 1, b"abc")[14..];
        let first = [&[0, 0, 0x03, 0x04, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0x08, 0x00][..], ip].concat();
        let second =
            [&[0x08, 0x00, 0, 0, 0, 0, 0, 1, 0x03, 0x04, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0][..], ip].concat();
        for (link, packet) in [(113u32, first), (276, second)] {
            let mut bytes = capture(&[packet]);
            bytes[20..24].copy_from_slice(&link.to_be_bytes());
            assert_eq!(read(&bytes).unwrap().streams[0].runs, [b"abc".to_vec()]);
        }
    }

    #[test]
    fn an_unread_link_is_named() {
        let mut bytes = capture(&[packet(1, 1, b"x")]);
        bytes[20..24].copy_from_slice(&147u32.to_be_bytes());
        let error = read(&bytes).err().unwrap();
        assert!(error.contains("link type 147"), "{error}");
    }
}
