-- Wireshark dissector of Yika's gateway protocol, version 1, as docs/wire.md describes it. Wireshark 4.0, Lua 5.2.
--
--   tshark -X lua_script:docs/yika.lua -d tcp.port==7300,yika -r FILE -V
--
-- Or copy it to the folder of personal Lua plugins. The port is a preference; another one is chosen by "Decode As".
-- Card numbers and secret fields are shown masked. The pane of bytes, -x and the capture itself show them all the same:
-- a capture of a real gateway is card data.
-- MACs are not checked: the dissector has no keys.

local yika = Proto("yika", "Yika gateway protocol")

local LENGTH_BYTES = 4
local HEAD_BYTES = 16
local MAC_BYTES = 8
local FRAME_BYTES_MOST = 1048576
local NO_MAC = 1
local MANDATORY = 0x8000
local KNOWN_BITS = 0x7FFF
local ISO_FIRST, ISO_LAST = 2, 128
local RECORD_HEAD_BYTES = 4
local VERSION = 1

local VERDICTS = {
    [0] = "stored", [1] = "stored earlier", [2] = "unreadable", [3] = "outside the window", [4] = "not accepted",
    [5] = "conflict", [6] = "suspended",
}
local ERRORS = {
    [1] = "Version", [2] = "Feature", [3] = "Unknown", [4] = "Key", [5] = "Mac", [6] = "Sequence", [7] = "Frame",
    [8] = "Turn", [9] = "Credit", [16] = "NoSuch", [17] = "Short", [18] = "Value", [19] = "Order", [20] = "Tag",
    [21] = "NotAgreed", [32] = "Overload", [33] = "NotReady", [48] = "BatchUnknown", [49] = "BatchConflict",
    [50] = "BatchIndex", [51] = "BatchSize", [52] = "BatchMany", [64] = "Reference", [65] = "Family",
    [80] = "ListUnknown", [81] = "ListVersion", [96] = "DateUnknown",
}
local REASONS = {
    [0] = "Done", [1] = "TakenOver", [2] = "Draining", [3] = "Idle", [4] = "Error", [5] = "KeyChange",
    [6] = "SequenceEnd", [7] = "Operator", [8] = "TooMany",
}
local TYPES, KINDS = {}, {}

-- What the numbers of a field mean. A star stands for any message or record.
local MEANINGS = {
    ["tap verdict.verdict"] = VERDICTS,
    ["error.code"] = ERRORS,
    ["reason.code"] = ERRORS,
    ["goodbye.reason"] = REASONS,
    ["totals.kind"] = KINDS,
    ["totals answer.kind"] = KINDS,
    ["totals answer.result"] = { [0] = "they agree", [1] = "they differ" },
    ["totals answer.closed"] = { [0] = "open", [1] = "closed" },
    ["*.level"] = { [0] = "none", [1] = "stored", [2] = "safe" },
    ["batch open.content"] = { [1] = "taps", [2] = "disbursement lines" },
    ["batch state.state"] = { [0] = "open", [1] = "closed" },
    ["transaction answer.state"] = { [0] = "final", [1] = "in doubt" },
    ["transaction answer.line_state"] = {
        [1] = "received", [2] = "sent", [3] = "paid", [4] = "failed", [5] = "unknown and being asked about",
    },
    ["*.event"] = {
        [1] = "single ride", [2] = "entry", [3] = "exit", [4] = "entry mended", [5] = "exit mended",
        [6] = "card locked by the deny list",
    },
    ["*.carrier"] = { [1] = "physical card", [2] = "electronic" },
    ["closed-loop tap.algorithm"] = { [0] = "3DES", [1] = "SM4" },
    ["QR ride.scheme"] = { [1] = "T-Union", [2] = "city card", [3] = "unified platform", [4] = "other" },
    ["QR ride.checked"] = { [0] = "not", [1] = "signatures", [2] = "online" },
    ["open-loop tap.approval"] = { [3] = "authorized online at the gate", [4] = "authenticated offline" },
    ["medical.step"] = { [1] = "quote", [2] = "settle", [3] = "cancel", [4] = "reverse", [5] = "query" },
    ["medical.credential_kind"] = { [1] = "e-voucher", [2] = "ID number", [3] = "card number" },
    ["identity.means"] = { [1] = "card number", [2] = "ID number", [3] = "code that is shown once" },
    ["card status.action"] = {
        [1] = "temporary loss", [2] = "formal loss", [3] = "release", [4] = "cancel", [5] = "replace",
        [6] = "activate",
    },
}

-- Fields of fixed length that hold text.
local AS_TEXT = {
    ["transaction answer.code"] = true,
    ["open-loop tap.terminal"] = true,
    ["open-loop tap.acceptor"] = true,
    ["open-loop tap.code"] = true,
    ["open-loop tap.authorization"] = true,
    ["open-loop tap.reference"] = true,
    ["medical.institution"] = true,
    ["medical.message"] = true,
    ["medical.original"] = true,
}

-- Numbers of cards in BCD: first and last digits are shown.
local AS_CARD = { ["closed-loop tap.logical_id"] = true, ["card status.serial"] = true }
-- Of these only the length is shown. A code of a QR ride and chip data may hold a card number.
local HIDDEN = { ["open-loop tap.expiry"] = true, ["open-loop tap.chip"] = true, ["QR ride.code"] = true }

-- Fields of ISO 8583 of which only the length is shown: expiry, tracks, PIN block, chip data, account numbers, and
-- what is private and may hold anything.
local ISO_HIDDEN = {}
for _, number in ipairs({ 14, 34, 35, 36, 45, 46, 47, 48, 52, 55, 96, 102, 103 }) do
    ISO_HIDDEN[number] = true
end
for number = 57, 63 do
    ISO_HIDDEN[number] = true
end
for number = 112, 127 do
    ISO_HIDDEN[number] = true
end
local ISO_CARD = 2
local ISO_NAMES = {
    [2] = "card number", [3] = "processing code", [4] = "amount", [7] = "transmission time", [11] = "trace number",
    [12] = "local time", [13] = "local date", [14] = "expiry", [22] = "entry mode", [25] = "condition",
    [35] = "track 2", [37] = "retrieval reference number", [38] = "authorization code", [39] = "response code",
    [41] = "terminal", [42] = "acceptor", [49] = "currency", [52] = "PIN block", [55] = "chip data",
}

-- Layouts. Each is a text of `name type` and `tag name type`, parted by semicolons.

local all_fields = {}

local function register(field)
    all_fields[#all_fields + 1] = field
    return field
end

local function word(name)
    return (name:gsub("[^%w]", "_"):lower())
end

local PLAIN = { u8 = ProtoField.uint8, u16 = ProtoField.uint16, u32 = ProtoField.uint32, u64 = ProtoField.uint64 }
local WIDTHS = { u8 = 1, u16 = 2, u32 = 4, u64 = 8, date = 4 }

-- A field as the page names it, with the type that Wireshark gives it.
local function field_of(owner, name, kind)
    local filter = "yika." .. word(owner) .. "." .. name
    local key = owner .. "." .. name
    local one = { name = name, kind = kind, key = key }
    local bytes = tonumber(kind:match("^bytes:(%d+)$"))
    if kind == "u64" and name:match("_ms$") then
        one.kind, one.per_second = "moment", 1000
        one.field = ProtoField.absolute_time(filter, name, base.UTC)
    elseif kind == "u32" and name == "made_s" then
        one.kind, one.per_second = "moment", 1
        one.field = ProtoField.absolute_time(filter, name, base.UTC)
    elseif kind == "u64" and name:match("^features") then
        one.field = ProtoField.uint64(filter, name, base.HEX)
    elseif PLAIN[kind] then
        one.field = PLAIN[kind](filter, name, base.DEC, MEANINGS[key] or MEANINGS["*." .. name])
    elseif kind == "date" then
        one.field = ProtoField.uint32(filter, name, base.DEC)
    elseif bytes then
        one.kind, one.bytes = "bytes:n", bytes
        if AS_TEXT[key] or AS_CARD[key] or HIDDEN[key] then
            one.field = ProtoField.string(filter, name)
        else
            one.field = ProtoField.bytes(filter, name)
        end
    elseif kind == "bytes" then
        one.field = ProtoField.bytes(filter, name)
    elseif kind == "verdicts" then
        one.field = ProtoField.uint8(filter, name, base.DEC, VERDICTS)
    else
        one.field = ProtoField.string(filter, name)
    end
    one.width = WIDTHS[kind]
    register(one.field)
    return one
end

local function layout(name, text)
    local result = { name = name, fixed = {}, tags = {} }
    for item in text:gmatch("[^;]+") do
        local tag, tag_name, tag_kind = item:match("^%s*(%x%x%x%x) (%S+) (%S+)%s*$")
        if tag then
            result.tags[tonumber(tag, 16)] = field_of(name, tag_name, tag_kind)
        else
            local field_name, kind = item:match("^%s*(%S+) (%S+)%s*$")
            -- The fields by number have a place of their own, behind the layouts.
            if kind == "fields" then
                result.numbered = true
            else
                result.fixed[#result.fixed + 1] = field_of(name, field_name, kind)
            end
        end
    end
    return result
end

local MESSAGES, RECORDS, GROUPS = {}, {}, {}

local function message(number, name, sender, text)
    TYPES[number] = name
    MESSAGES[number] = layout(name, text)
    MESSAGES[number].sender = sender
end

local function record(number, name, text)
    KINDS[number] = name
    RECORDS[number] = layout(name, text)
end

local function group(key, name, text)
    GROUPS[key] = layout(name, text)
end

local tap_head = [[
    source bytes:8; sequence u32; time time; event u8; amount_fen u32; city bytes:2; line u16; station u16;
    device_kind u8; device u32; list_version u32;
]]
local ask_head = "reference bytes:16; time time;"

group("reason", "reason", [[
    code u16; tag u16; offset u16
]])
group("place", "place", [[
    city bytes:2; institution bytes:8; line u16; station u16; source bytes:8; time time
]])
group("last_use", "last use", [[
    source bytes:8; time time
]])
group("discount", "discount", [[
    month u32; rides u32; spent_fen u32
]])
group("transfer", "transfer", [[
    interval_s u32; bus_time time
]])
group("staff", "staff", [[
    operator u32; shift u16
]])
group("label", "label", [[
    lowest_fen u32; highest_fen u32
]])
group("cost_parts", "cost parts", [[
    own_fen u64; over_fen u64; first_fen u64; scope_fen u64
]])
group("shares", "shares", [[
    fund_fen u64; account_fen u64; family_fen u64; cash_fen u64
]])
group("person", "person", [[
    matches u8; age_band u8; concession u8
]])

message(0x01, "hello", "client", [[
    version_min u8; version_max u8; features u64; features_needed u64; key_check bytes:3; random bytes:16;
    session bytes:16; participant name; gateway name;
    0001 software text
]])
message(0x02, "hello answer", "server", [[
    version u8; features u64; random bytes:16; resumed u8; frame_bytes_max u32; batch_records_max u32;
    part_records_max u16; heartbeat_seconds u16; server_time_ms u64; levels u8; credits u64; batches_open u16;
    0001 batches batches; 0002 software text
]])
message(0x03, "heartbeat", "either", [[
    time_ms u64
]])
message(0x04, "heartbeat answer", "either", [[
    asked_ms u64; time_ms u64
]])
message(0x05, "credit", "server", [[
    credits u64
]])
message(0x06, "goodbye", "either", [[
    reason u8;
    0001 text text
]])
message(0x07, "error", "either", [[
    code u16; fatal u8; tag u16; offset u32;
    0001 text text; 0002 versions bytes:2; 0003 features u64; 0004 retry_after_ms u32
]])
message(0x10, "tap", "client", [[
    record record
]])
message(0x11, "tap verdict", "server", [[
    verdict u8; level u8; business_date date; credits u64;
    0001 reason reason
]])
message(0x12, "batch open", "client", [[
    batch u64; content u8; records u32; amount_fen u64; hash bytes:32; date date;
    0001 payer id; 0002 policy id; 0003 period u32; 0004 signature bytes
]])
message(0x13, "batch state", "server", [[
    batch u64; state u8; stored u32; next u32; credits u64
]])
message(0x14, "batch part", "client", [[
    batch u64; first u32; records records
]])
message(0x15, "batch verdicts", "server", [[
    batch u64; first u32; level u8; business_date date; credits u64; verdicts verdicts;
    0001 reasons reasons; 0002 earlier earlier
]])
message(0x16, "batch closed", "server", [[
    batch u64; differs u8; business_date date; amount_fen u64; hash bytes:32; stored u32; stored_earlier u32;
    unreadable u32; outside_window u32; not_accepted u32; conflict u32; suspended u32
]])
message(0x17, "safe", "server", [[
    batch u64; records u64
]])
message(0x20, "transaction", "client", [[
    wait_ms u32; record record
]])
message(0x21, "transaction answer", "server", [[
    state u8; code bytes:2; business_date date; credits u64; fields fields;
    0302 settlement id; 0401 shares shares; 0402 person person; 0403 domains bytes:2; 0404 line_state u8;
    0405 text text
]])
message(0x30, "list poll", "client", [[
    list u32; version u32
]])
message(0x31, "list delta", "server", [[
    list u32; from u32; to u32; latest u32; part u16; parts u16; effective_ms u64; hash bytes:32; adds entries;
    removes entries;
    0001 name text
]])
message(0x32, "list acknowledgement", "client", [[
    list u32; version u32; hash bytes:32; since_ms u64; devices u32; devices_current u32; oldest u32
]])
message(0x40, "totals", "client", [[
    date date; kind u8; count u64; amount_fen u64; hash bytes:32
]])
message(0x41, "totals answer", "server", [[
    date date; kind u8; result u8; closed u8; count u64; amount_fen u64; hash bytes:32;
    0001 text text
]])
record(0x01, "closed-loop tap", tap_head .. [[
    transaction_kind u8; card_kind u8; card_subkind u8; logical_id bytes:10; physical_id bytes:10; status u8;
    balance_fen u32; load_counter u32; purchase_counter u32; tac bytes:4; tac_kind u8; tac_terminal bytes:6;
    algorithm u8; key_version u16; key_index u8; random bytes:4; issuer bytes:8;
    0101 scenario u16; 0102 district u32; 0103 carrier u8; 0201 entry place; 0202 institution bytes:8;
    0203 last_use last_use; 0204 undiscounted_fen u32; 0205 discount discount; 0206 transfer transfer;
    0207 payment bytes:2; 0208 receipt id; 0209 staff staff; 020A modes bytes:4; 020B industry bytes:2;
    020C interoperable bytes:2; 020D label label; 020E proof bytes:4; 020F source_version u16
]])
record(0x02, "QR ride", tap_head .. [[
    scheme u8; checked u8; code block;
    0101 scenario u16; 0102 district u32; 0201 entry place; 0202 institution bytes:8;
    0204 undiscounted_fen u32; 0205 discount discount; 0209 staff staff; 0221 account id; 0222 made_s u32
]])
record(0x03, "open-loop tap", tap_head .. [[
    approval u8; account digits; expiry bytes:2; card_sequence u8; trace u32; terminal bytes:8;
    acceptor bytes:15; chip block;
    0101 scenario u16; 0102 district u32; 0103 carrier u8; 0201 entry place; 0211 vehicle id; 0212 driver id;
    0213 route id; 0214 code bytes:2; 0215 authorization bytes:6; 0216 reference bytes:12
]])
record(0x10, "payment", ask_head .. [[
    message_kind bytes:2; fields fields;
    0101 scenario u16; 0102 district u32; 0103 carrier u8
]])
record(0x11, "medical", ask_head .. [[
    step u8; function bytes:2; institution bytes:12; message bytes:30; area u32; total_fen u64; cash_fen u64;
    fields fields;
    0101 scenario u16; 0102 district u32; 0103 carrier u8; 0301 visit id; 0302 settlement id; 0303 charges id;
    0304 person secret; 0305 credential_kind u8; 0306 credential secret; 0307 insurance id; 0308 visit_kind id;
    0309 account_used u8; 030A original bytes:30; 030B original_function bytes:2; 030C invoice id;
    030D parts cost_parts; 030E sign_in id; 030F operator id; 0310 way id
]])
record(0x12, "identity", ask_head .. [[
    purpose u16; means u8; acceptor name;
    0101 scenario u16; 0102 district u32; 0103 carrier u8; 030F operator id; 0320 card digits; 0321 id_kind u8;
    0322 id_number secret; 0323 code secret
]])
record(0x13, "disbursement line", ask_head .. [[
    line u32; claim bytes:32; amount_fen u64; account digits; new_person u8;
    0101 scenario u16; 0102 district u32; 0322 id_number secret; 0330 policy id; 0331 period u32;
    0332 payer id; 0333 name secret; 0334 memo text; 0335 household secret; 0336 account_kind u8
]])
record(0x14, "card status", ask_head .. [[
    action u8; domains u8; effective time; reason u8; card digits; origin name;
    0101 scenario u16; 0102 district u32; 0340 expires time; 0341 card_sequence u8; 0342 replacement digits;
    0343 serial bytes:10
]])

local ISO = {}
for number = ISO_FIRST, ISO_LAST do
    local name = "field " .. number .. (ISO_NAMES[number] and ", " .. ISO_NAMES[number] or "")
    ISO[number] = register(ProtoField.string("yika.iso." .. number, name))
end

-- Fields of the frame, of tags and of lists of values.

local f = {
    length = register(ProtoField.uint32("yika.length", "length", base.DEC)),
    type = register(ProtoField.uint8("yika.type", "type", base.HEX, TYPES)),
    flags = register(ProtoField.uint8("yika.flags", "flags", base.HEX)),
    no_mac = register(ProtoField.bool("yika.flags.no_mac", "no MAC", 8, nil, NO_MAC)),
    reserved = register(ProtoField.uint16("yika.reserved", "reserved", base.HEX)),
    sequence = register(ProtoField.uint32("yika.sequence", "sequence", base.DEC)),
    correlation = register(ProtoField.uint32("yika.correlation", "correlation", base.DEC)),
    answers = register(ProtoField.framenum("yika.answers", "answers the frame in", base.NONE, frametype.REQUEST)),
    mac = register(ProtoField.bytes("yika.mac", "MAC, not checked")),
    body = register(ProtoField.bytes("yika.body", "body")),
    tag = register(ProtoField.uint16("yika.tag", "tag", base.HEX, nil, KNOWN_BITS)),
    mandatory = register(ProtoField.bool("yika.tag.mandatory", "mandatory", 16, nil, MANDATORY)),
    tag_length = register(ProtoField.uint16("yika.tag.length", "length", base.DEC)),
    tag_value = register(ProtoField.bytes("yika.tag.value", "value")),
    count = register(ProtoField.uint32("yika.count", "count", base.DEC)),
    bytes = register(ProtoField.uint32("yika.bytes", "bytes", base.DEC)),
    record_length = register(ProtoField.uint16("yika.record.length", "length", base.DEC)),
    kind = register(ProtoField.uint8("yika.record.kind", "kind", base.HEX, KINDS)),
    version = register(ProtoField.uint8("yika.record.version", "version", base.DEC)),
    batch = register(ProtoField.uint64("yika.row.batch", "batch", base.DEC)),
    next = register(ProtoField.uint32("yika.row.next", "next index", base.DEC)),
    index = register(ProtoField.uint16("yika.row.index", "index within the part", base.DEC)),
    code = register(ProtoField.uint16("yika.row.code", "code", base.DEC, ERRORS)),
    at_tag = register(ProtoField.uint16("yika.row.tag", "tag at fault", base.HEX)),
    offset = register(ProtoField.uint16("yika.row.offset", "byte at fault", base.DEC)),
    many = register(ProtoField.uint16("yika.row.many", "how many", base.DEC)),
    date = register(ProtoField.uint32("yika.row.date", "business date", base.DEC)),
}

local e = {
    gap = ProtoExpert.new("yika.expert.gap", "Gap in the sequence", expert.group.SEQUENCE, expert.severity.WARN),
    again = ProtoExpert.new("yika.expert.repeat", "Repeat in sequence", expert.group.SEQUENCE, expert.severity.WARN),
    malformed = ProtoExpert.new("yika.expert.malformed", "Malformed", expert.group.MALFORMED, expert.severity.ERROR),
    unknown = ProtoExpert.new("yika.expert.unknown", "Not known", expert.group.UNDECODED, expert.severity.NOTE),
    side = ProtoExpert.new("yika.expert.side", "From the wrong side", expert.group.PROTOCOL, expert.severity.WARN),
    bare = ProtoExpert.new("yika.expert.no_mac", "Without a MAC", expert.group.SECURITY, expert.severity.WARN),
}

yika.fields = all_fields
yika.experts = { e.gap, e.again, e.malformed, e.unknown, e.side, e.bare }

-- Values.

local function masked(digits)
    digits = digits:gsub("%W", "?")
    if #digits <= 12 then
        return ("*"):rep(#digits)
    end
    return digits:sub(1, 6) .. ("*"):rep(#digits - 10) .. digits:sub(-4)
end

local function hidden(count)
    return "(" .. count .. " bytes, not shown)"
end

-- What is wrong with a body is thrown as a table, so that an error of this script is never taken for one of a body.
local function fail(reader, text)
    error({ at = reader.at - reader.base, text = text }, 0)
end

local function catch(tree, work)
    local good, problem = pcall(work)
    if good then
        return
    end
    if type(problem) ~= "table" then
        error(problem, 0)
    end
    tree:add_proto_expert_info(e.malformed, problem.text .. " at byte " .. problem.at)
end

-- Bytes at fault count from the body on, and in a record from its length on, as they do in errors and reasons.
local function reader_of(tvb, at, stop, base)
    return { tvb = tvb, at = at, stop = stop, base = base }
end

local function left(reader)
    return reader.stop - reader.at
end

local function take(reader, count)
    if count > left(reader) then
        fail(reader, count .. " bytes are wanted, " .. left(reader) .. " are there")
    end
    -- At the end of a buffer there is no empty range.
    if count == 0 then
        return nil
    end
    local range = reader.tvb(reader.at, count)
    reader.at = reader.at + count
    return range
end

-- A number that says how much follows.
local function number(reader, count, tree, field)
    local range = take(reader, count)
    if tree then
        tree:add(field, range)
    end
    return range:uint()
end

local add_value, add_record

local function time_text(reader, range)
    local year, month, day, hour, minute, second =
        tostring(range:bytes()):match("^(%d%d%d%d)(%d%d)(%d%d)(%d%d)(%d%d)(%d%d)$")
    if not year then
        fail(reader, "a time that is not BCD")
    end
    return ("%s-%s-%s %s:%s:%s"):format(year, month, day, hour, minute, second)
end

local function iso_text(number_, range)
    if ISO_HIDDEN[number_] then
        return hidden(range:len())
    end
    local text = range:raw()
    if number_ == ISO_CARD then
        return masked(text)
    end
    if text:match("^[\32-\126]*$") then
        return text
    end
    return tostring(range:bytes())
end

local function add_rows(tree, reader, one, row, columns)
    local index = 0
    local list = tree:add(one.field, reader.tvb(reader.at, left(reader)), "")
    list:set_text(one.name)
    while left(reader) > 0 do
        local line = list:add(reader.tvb(reader.at, math.min(left(reader), row)), one.name .. " " .. index)
        for _, column in ipairs(columns) do
            line:add(column[1], take(reader, column[2]))
        end
        index = index + 1
    end
end

-- Values that follow a length or a count of their own, or fill a tag: reader, tree, field.
local KIND = {}

function KIND.moment(reader, tree, one)
    local range = take(reader, one.width)
    local raw = one.width == 8 and range:uint64() or UInt64(range:uint())
    local seconds = raw / one.per_second
    local rest = raw % one.per_second
    -- A moment that no clock of Wireshark holds is shown as it is.
    if seconds > UInt64(0x7FFFFFFF) then
        tree:add(one.field, range, NSTime(0)):set_text(one.name .. ": " .. tostring(raw))
        return
    end
    tree:add(one.field, range, NSTime(seconds:tonumber(), rest:tonumber() * 1000000))
end

KIND["bytes:n"] = function(reader, tree, one)
    local range = take(reader, one.bytes)
    if HIDDEN[one.key] then
        tree:add(one.field, range, hidden(one.bytes))
    elseif AS_CARD[one.key] then
        tree:add(one.field, range, masked(tostring(range:bytes())))
    elseif AS_TEXT[one.key] then
        tree:add(one.field, range, range:string())
    else
        tree:add(one.field, range)
    end
end

function KIND.time(reader, tree, one)
    local range = take(reader, 7)
    tree:add(one.field, range, time_text(reader, range))
end

function KIND.name(reader, tree, one)
    local count = number(reader, 1)
    if count == 0 then
        fail(reader, "an empty name")
    end
    local range = take(reader, count)
    tree:add(one.field, range, range:string())
end

function KIND.digits(reader, tree, one)
    local count = number(reader, 1)
    if count == 0 then
        fail(reader, "no digits")
    end
    local range = take(reader, count)
    tree:add(one.field, range, masked(range:raw()))
end

function KIND.block(reader, tree, one)
    local count = number(reader, 2)
    if count == 0 then
        fail(reader, "an empty block")
    end
    local range = take(reader, count)
    tree:add(one.field, range, hidden(count))
end

function KIND.record(reader, tree)
    add_record(reader, tree, nil)
end

function KIND.records(reader, tree, one)
    local head = reader.tvb(reader.at, math.min(left(reader), 6))
    local list = tree:add(one.field, head, "")
    local count = number(reader, 2, list, f.count)
    local bytes = number(reader, 4, list, f.bytes)
    list:set_text(one.name .. ": " .. count)
    local inner = reader_of(reader.tvb, reader.at, reader.at + bytes, reader.base)
    take(reader, bytes)
    for index = 0, count - 1 do
        add_record(inner, list, index)
    end
    if left(inner) > 0 then
        fail(inner, "lengths of records that do not add up")
    end
end

function KIND.entries(reader, tree, one)
    local head = reader.tvb(reader.at, math.min(left(reader), 8))
    local list = tree:add(one.field, head, "")
    local count = number(reader, 4, list, f.count)
    local bytes = number(reader, 4, list, f.bytes)
    list:set_text(one.name .. ": " .. count)
    local inner = reader_of(reader.tvb, reader.at, reader.at + bytes, reader.base)
    take(reader, bytes)
    for _ = 1, count do
        local length = number(inner, 1)
        if length == 0 then
            fail(inner, "an empty entry")
        end
        local range = take(inner, length)
        -- Entries are card numbers.
        list:add(one.field, range, masked(tostring(range:bytes())))
    end
    if left(inner) > 0 then
        fail(inner, "lengths of entries that do not add up")
    end
end

function KIND.verdicts(reader, tree, one)
    local count = number(reader, 2, tree, f.count)
    for index = 0, count - 1 do
        local range = take(reader, 1)
        local item = tree:add(one.field, range)
        item:prepend_text(index .. ": ")
        if not VERDICTS[range:uint()] then
            item:add_proto_expert_info(e.unknown, "a verdict that is not known: keep the record")
        end
    end
end

function KIND.batches(reader, tree, one)
    add_rows(tree, reader, one, 12, { { f.batch, 8 }, { f.next, 4 } })
end

function KIND.reasons(reader, tree, one)
    add_rows(tree, reader, one, 8, { { f.index, 2 }, { f.code, 2 }, { f.at_tag, 2 }, { f.offset, 2 } })
end

function KIND.earlier(reader, tree, one)
    add_rows(tree, reader, one, 8, { { f.index, 2 }, { f.many, 2 }, { f.date, 4 } })
end

function KIND.id(reader, tree, one)
    local range = take(reader, left(reader))
    tree:add(one.field, range, range:string())
end

function KIND.text(reader, tree, one)
    local range = take(reader, left(reader))
    tree:add(one.field, range, range:string(ENC_UTF_8))
end

function KIND.secret(reader, tree, one)
    local range = take(reader, left(reader))
    tree:add(one.field, range, hidden(range:len()))
end

function KIND.bytes(reader, tree, one)
    tree:add(one.field, take(reader, left(reader)))
end

function add_value(reader, tree, one)
    local kind = KIND[one.kind]
    if GROUPS[one.kind] then
        local list = tree:add(one.field, reader.tvb(reader.at, left(reader)), "")
        list:set_text(one.name)
        for _, inner in ipairs(GROUPS[one.kind].fixed) do
            add_value(reader, list, inner)
        end
    elseif kind then
        kind(reader, tree, one)
    else
        local item = tree:add(one.field, take(reader, one.width))
        local meanings = MEANINGS[one.key]
        if meanings == VERDICTS or meanings == ERRORS or meanings == REASONS then
            local value = reader.tvb(reader.at - one.width, one.width):uint()
            -- In a reason of a record, as in an error, there is no code 0.
            if not meanings[value] then
                item:add_proto_expert_info(e.unknown, one.name .. " is not in the table of version 1")
            end
        end
    end
end

-- One optional field, with its tag and length. Tags ascend by their low bits.
local function add_tag(reader, tree, layout_, last)
    local start = reader.at
    if left(reader) < 4 then
        fail(reader, "ends inside a tag")
    end
    local tag = reader.tvb(start, 2):uint()
    local length = reader.tvb(start + 2, 2):uint()
    local low = bit32.band(tag, KNOWN_BITS)
    local known = layout_.tags[low]
    local numbered = layout_.numbered and low >= ISO_FIRST and low <= ISO_LAST
    local name = known and known.name or numbered and "field " .. low or "not known"
    local item = tree:add(reader.tvb(start, math.min(left(reader), 4 + length)), ("%04X "):format(tag) .. name)
    item:add(f.tag, reader.tvb(start, 2))
    item:add(f.mandatory, reader.tvb(start, 2))
    item:add(f.tag_length, reader.tvb(start + 2, 2))
    reader.at = start + 4
    if low <= last then
        item:add_proto_expert_info(e.malformed, "a tag that is there twice or out of order")
    end
    if length > left(reader) then
        fail(reader, "ends inside a tag")
    end
    local inner = reader_of(reader.tvb, reader.at, reader.at + length, reader.base)
    reader.at = reader.at + length
    if length == 0 then
        return low
    end
    if numbered then
        local range = take(inner, length)
        item:add(ISO[low], range, iso_text(low, range))
    elseif known then
        catch(item, function()
            add_value(inner, item, known)
            if left(inner) > 0 then
                fail(inner, "the value is too long")
            end
        end)
    else
        item:add(f.tag_value, take(inner, length))
        local text = bit32.btest(tag, MANDATORY) and "a mandatory tag that is not known: all of it is refused"
            or "a tag that is not known: skipped"
        item:add_proto_expert_info(e.unknown, text)
    end
    return low
end

local function add_layout(reader, tree, layout_)
    for _, one in ipairs(layout_.fixed) do
        if left(reader) == 0 then
            fail(reader, "ends before " .. one.name)
        end
        add_value(reader, tree, one)
    end
    local last = -1
    while left(reader) > 0 do
        last = add_tag(reader, tree, layout_, last)
    end
end

-- One record. What is wrong inside it costs this record alone.
function add_record(reader, tree, index)
    local start = reader.at
    local length = number(reader, 2)
    take(reader, length)
    local range = reader.tvb(start, 2 + length)
    local title = "record" .. (index and " " .. index or "")
    local item = tree:add(range, title)
    item:add(f.record_length, reader.tvb(start, 2))
    catch(item, function()
        local inner = reader_of(reader.tvb, start + 2, start + 2 + length, start)
        local kind = number(inner, 1, item, f.kind)
        local version = number(inner, 1, item, f.version)
        local known = RECORDS[kind]
        if known then
            item:set_text(title .. ": " .. known.name)
        end
        if not known or version ~= VERSION then
            item:add_proto_expert_info(e.unknown, "a record kind or version that is not known")
            return
        end
        add_layout(inner, item, known)
    end)
end

-- Frames.

local streams, found = {}, {}
local stream_of = Field.new("tcp.stream")

function yika.init()
    streams, found = {}, {}
end

-- Messages that ask, by type. Their correlation comes back in the answer.
local ASKS = { [0x01] = 1, [0x03] = 1, [0x10] = 1, [0x12] = 1, [0x14] = 1, [0x20] = 1, [0x30] = 1, [0x40] = 1 }

-- What only the first pass over a capture can tell: the frames of a stream come in order then.
local function follow(pinfo, tvb, type, sequence, correlation)
    local key = pinfo.number .. ":" .. tvb:offset() .. ":" .. sequence
    if pinfo.visited then
        return found[key] or {}
    end
    local stream = stream_of()
    stream = stream and stream.value or 0
    local side = tostring(pinfo.src) .. ":" .. pinfo.src_port
    local other = tostring(pinfo.dst) .. ":" .. pinfo.dst_port
    local state = streams[stream] or { last = {}, asked = {} }
    streams[stream] = state
    if type == 0x01 and not state.client then
        state.client = side
    end
    local result = {}
    local last = state.last[side]
    -- A capture may begin in the middle of a connection: there the first number is taken as it is.
    if last then
        result.expected = last + 1
    elseif state.client then
        result.expected = 1
    end
    state.last[side] = sequence
    if state.client then
        result.from = state.client == side and "client" or "server"
    end
    state.asked[side] = state.asked[side] or {}
    if correlation ~= 0 then
        if ASKS[type] then
            state.asked[side][correlation] = pinfo.number
        elseif state.asked[other] then
            result.answers = state.asked[other][correlation]
        end
    end
    found[key] = result
    return result
end

-- One line about a frame for the list of packets.
local function summary(type, body)
    local name = TYPES[type] or ("type %02X"):format(type)
    if type == 0x11 and body:len() >= 1 then
        local verdict = body(0, 1):uint()
        return name .. " " .. verdict .. " " .. (VERDICTS[verdict] or "not known")
    elseif type == 0x06 and body:len() >= 1 then
        local reason = body(0, 1):uint()
        return name .. " " .. reason .. " " .. (REASONS[reason] or "not known")
    elseif type == 0x07 and body:len() >= 2 then
        local code = body(0, 2):uint()
        return name .. " " .. code .. " " .. (ERRORS[code] or "not known")
    elseif type == 0x14 and body:len() >= 14 then
        return name .. " from " .. body(8, 4):uint() .. ", " .. body(12, 2):uint() .. " records"
    end
    return name
end

local function add_frame(tvb, pinfo, root)
    local tree = root:add(yika, tvb())
    tree:add(f.length, tvb(0, 4))
    if tvb:len() < HEAD_BYTES or tvb(0, 4):uint() ~= tvb:len() - LENGTH_BYTES then
        tree:add_proto_expert_info(e.malformed, "a length that no frame has")
        return tvb:len()
    end
    local type, flags = tvb(4, 1):uint(), tvb(5, 1):uint()
    local sequence, correlation = tvb(8, 4):uint(), tvb(12, 4):uint()
    local known = MESSAGES[type]
    local facts = follow(pinfo, tvb, type, sequence, correlation)

    local type_item = tree:add(f.type, tvb(4, 1))
    local flags_item = tree:add(f.flags, tvb(5, 1))
    flags_item:add(f.no_mac, tvb(5, 1))
    local reserved_item = tree:add(f.reserved, tvb(6, 2))
    local sequence_item = tree:add(f.sequence, tvb(8, 4))
    tree:add(f.correlation, tvb(12, 4))
    if facts.answers then
        tree:add(f.answers, facts.answers):set_generated()
    end
    if flags ~= 0 and flags ~= NO_MAC then
        flags_item:add_proto_expert_info(e.malformed, "flags that are not known")
    end
    if tvb(6, 2):uint() ~= 0 then
        reserved_item:add_proto_expert_info(e.malformed, "reserved bytes that are not 0")
    end
    if facts.expected and sequence > facts.expected then
        local text = "gap in the sequence: " .. sequence .. " where " .. facts.expected .. " is due"
        sequence_item:add_proto_expert_info(e.gap, text)
    elseif facts.expected and sequence < facts.expected then
        local text = "repeat in the sequence: " .. sequence .. " where " .. facts.expected .. " is due"
        sequence_item:add_proto_expert_info(e.again, text)
    end
    if known and facts.from and known.sender ~= "either" and known.sender ~= facts.from then
        type_item:add_proto_expert_info(e.side, "comes from the " .. facts.from)
    end

    local stop = tvb:len()
    if bit32.btest(flags, NO_MAC) then
        if type ~= 0x01 and type ~= 0x06 and type ~= 0x07 then
            flags_item:add_proto_expert_info(e.bare, "a message that must have a MAC")
        end
    elseif stop < HEAD_BYTES + MAC_BYTES then
        tree:add_proto_expert_info(e.malformed, "too short for a MAC")
        return tvb:len()
    else
        stop = stop - MAC_BYTES
    end

    local line = TYPES[type] or ("type %02X"):format(type)
    if stop > HEAD_BYTES then
        local body = tvb(HEAD_BYTES, stop - HEAD_BYTES):tvb()
        line = summary(type, body)
        if known then
            local body_tree = tree:add(body(), known.name)
            catch(body_tree, function()
                add_layout(reader_of(body, 0, body:len(), 0), body_tree, known)
            end)
        else
            tree:add(f.body, body())
        end
    elseif known then
        tree:add_proto_expert_info(e.malformed, "no body")
    end
    if not known then
        type_item:add_proto_expert_info(e.unknown, "a message type that is not known")
    end
    if stop < tvb:len() then
        tree:add(f.mac, tvb(stop, MAC_BYTES))
    end
    tree:append_text(", " .. line .. ", sequence " .. sequence)
    return tvb:len(), line
end

-- What cannot be a frame is taken whole, so that nobody waits for a gigabyte of garbage.
local function frame_length(tvb, _, offset)
    local length = tvb(offset, LENGTH_BYTES):uint()
    if length < HEAD_BYTES - LENGTH_BYTES or length > FRAME_BYTES_MOST - LENGTH_BYTES then
        return tvb:len() - offset
    end
    return LENGTH_BYTES + length
end

function yika.dissector(tvb, pinfo, root)
    pinfo.cols.protocol = "Yika"
    local lines = {}
    local function one(frame, inner_pinfo, inner_root)
        local used, line = add_frame(frame, inner_pinfo, inner_root)
        lines[#lines + 1] = line or "malformed"
        inner_pinfo.cols.info = table.concat(lines, ", ")
        return used
    end
    dissect_tcp_pdus(tvb, root, LENGTH_BYTES, frame_length, one)
    return tvb:len()
end

-- Where it is found: by the port of the preference, in the clear and inside TLS, and in "Decode As".

yika.prefs.port = Pref.uint("TCP port", 7300, "Port of the gateway protocol; 0 for none")

local tables = { DissectorTable.get("tcp.port"), DissectorTable.get("tls.port") }
local port = 0

local function listen(wanted)
    for _, one in ipairs(tables) do
        if port ~= 0 then
            one:remove(port, yika)
        end
        if wanted ~= 0 then
            one:add(wanted, yika)
        end
    end
    port = wanted
end

function yika.prefs_changed()
    if port ~= yika.prefs.port then
        listen(yika.prefs.port)
    end
end

for _, one in ipairs(tables) do
    one:add_for_decode_as(yika)
end
listen(yika.prefs.port)
