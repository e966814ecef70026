//! Captures: the bytes that each side of each TCP connection sent, in order. Packets that came twice count once; where
//! one is missing the stream goes on after the gap, and says so.

use etherparse::{SlicedPacket, TransportSlice};
use pcap_file::pcap::PcapReader;
use pcap_file::pcapng::{Block, PcapNgReader};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

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

/// The streams of a capture, in the order in which they began.
///
/// # Errors
/// When it is cut off in its header, or holds a kind of link that is not read.
pub(super) fn streams(bytes: &[u8]) -> Result<Vec<Stream>, String> {
    let mut flows: Vec<((SocketAddr, SocketAddr), Flow)> = Vec::new();
    let mut take = |packet: &[u8], link: u32| -> Result<(), String> {
        let Some((ways, sequence, payload)) = tcp(packet, link)? else { return Ok(()) };
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
        read_pcapng(bytes, &mut take)?;
    } else {
        let mut reader = PcapReader::new(bytes).map_err(|error| format!("is no whole pcap: {error}"))?;
        let link = u32::from(reader.header().datalink);
        while let Some(packet) = reader.next_packet() {
            // A capture that was ended in the middle of a packet is as good as it is.
            let Ok(packet) = packet else { break };
            take(&packet.data, link)?;
        }
    }
    Ok(flows.into_iter().map(|((from, to), flow)| Stream { from, to, runs: runs(flow.segments) }).collect())
}

fn read_pcapng(bytes: &[u8], take: &mut impl FnMut(&[u8], u32) -> Result<(), String>) -> Result<(), String> {
    let mut reader = PcapNgReader::new(bytes).map_err(|error| format!("is no whole pcapng: {error}"))?;
    let mut links: Vec<u32> = Vec::new();
    while let Some(Ok(block)) = reader.next_block() {
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
    Ok(())
}

// Link types of libpcap.
const LINK_NULL: u32 = 0;
const LINK_ETHERNET: u32 = 1;
const LINK_RAW: [u32; 4] = [12, 101, 228, 229];
const LINK_LINUX_SLL: u32 = 113;

type Ways = (SocketAddr, SocketAddr);

/// From and to, sequence number, payload.
type Segment<'p> = (Ways, u32, &'p [u8]);

/// The TCP payload of a packet, with the place it has in its stream; None if it carries none.
fn tcp(packet: &[u8], link: u32) -> Result<Option<Segment<'_>>, String> {
    let sliced = match link {
        LINK_ETHERNET => SlicedPacket::from_ethernet(packet),
        LINK_LINUX_SLL => SlicedPacket::from_linux_sll(packet),
        LINK_NULL => SlicedPacket::from_ip(packet.get(4..).unwrap_or_default()),
        raw if LINK_RAW.contains(&raw) => SlicedPacket::from_ip(packet),
        other => {
            return Err(format!(
                "captured on link type {other}; Ethernet, Linux cooked, loopback and raw IP are read"
            ));
        }
    };
    let Ok(sliced) = sliced else { return Ok(None) };
    let Some(TransportSlice::Tcp(tcp)) = &sliced.transport else { return Ok(None) };
    let (from, to): (IpAddr, IpAddr) = match &sliced.net {
        Some(etherparse::NetSlice::Ipv4(ip)) => {
            (ip.header().source_addr().into(), ip.header().destination_addr().into())
        }
        Some(etherparse::NetSlice::Ipv6(ip)) => {
            (ip.header().source_addr().into(), ip.header().destination_addr().into())
        }
        _ => return Ok(None),
    };
    let payload = tcp.payload();
    if payload.is_empty() {
        return Ok(None);
    }
    let ways = ((from, tcp.source_port()).into(), (to, tcp.destination_port()).into());
    Ok(Some((ways, tcp.sequence_number(), payload)))
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
        let found = streams(&bytes).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].runs, [b"abcdefghi".to_vec(), b"after a gap".to_vec()]);
        assert_eq!((found[1].from.port(), found[1].to.port()), (5001, 7100));
        for cut in 0..bytes.len() {
            let _ = streams(&bytes[..cut]);
        }
    }

    #[test]
    fn an_unread_link_is_named() {
        let mut bytes = capture(&[packet(1, 1, b"x")]);
        bytes[20..24].copy_from_slice(&147u32.to_be_bytes());
        let error = streams(&bytes).err().unwrap();
        assert!(error.contains("link type 147"), "{error}");
    }
}
