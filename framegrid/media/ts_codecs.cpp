#include <framegrid/media/ts_codecs.hpp>

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include <fmt/format.h>

namespace framegrid::media {
namespace {

constexpr std::size_t kPacket = 188;
constexpr std::size_t kReadMax = std::size_t{1} << 20;  // headers come first
constexpr std::size_t kHeadMax = 4096;                  // of each stream
constexpr std::size_t kStreamsMax = 8;
constexpr std::uint8_t kH264 = 0x1B;
constexpr std::uint8_t kHevc = 0x24;
constexpr std::uint8_t kAac = 0x0F;

struct Stream {
    std::uint8_t type = 0;
    Bytes head;  // of its elementary stream
};

// One packet's payload; nothing when it has none.
struct Payload {
    std::uint32_t pid = 0;
    bool starts = false;
    BytesView bytes;
};

std::optional<Payload> payload_of(BytesView packet) {
    if (packet[0] != 0x47) {
        return std::nullopt;
    }
    Payload out;
    out.starts = (packet[1] & 0x40) != 0;
    out.pid = static_cast<std::uint32_t>((packet[1] & 0x1F) << 8 | packet[2]);
    const bool adapted = (packet[3] & 0x20) != 0;
    const std::size_t at = adapted ? std::size_t{5} + packet[4] : 4;
    if ((packet[3] & 0x10) == 0 || at >= packet.size()) {
        return std::nullopt;
    }
    out.bytes = packet.subspan(at);
    return out;
}

// A table's section without its header and checksum. Tables of one packet are enough for a segment's.
BytesView section_of(const Payload& payload, std::uint8_t table, std::size_t header) {
    if (!payload.starts || payload.bytes.empty()) {
        return {};
    }
    const std::size_t pointer = std::size_t{1} + payload.bytes[0];
    if (pointer + header > payload.bytes.size() || payload.bytes[pointer] != table) {
        return {};
    }
    const BytesView section = payload.bytes.subspan(pointer);
    const std::size_t length =
        std::size_t{3} + static_cast<std::size_t>((section[1] & 0x0F) << 8 | section[2]);
    if (length > section.size() || length < header + 4) {
        return {};
    }
    return section.subspan(header, length - header - 4);
}

class Reader {
  public:
    void take(const Payload& payload) {
        if (payload.pid == 0) {
            read_programs(section_of(payload, 0x00, 8));
        } else if (payload.pid == program_) {
            read_streams(payload);
        } else if (const auto found = streams_.find(payload.pid); found != streams_.end()) {
            add(found->second, payload);
        }
    }
    bool done() const {
        return !streams_.empty() && std::ranges::all_of(streams_, [](const auto& entry) {
            return entry.second.head.size() >= kHeadMax;
        });
    }
    const std::map<std::uint32_t, Stream>& streams() const { return streams_; }

  private:
    void read_programs(BytesView section) {
        for (std::size_t at = 0; at + 4 <= section.size() && program_ == 0; at += 4) {
            const bool is_program = section[at] != 0 || section[at + 1] != 0;
            program_ =
                is_program ? static_cast<std::uint32_t>((section[at + 2] & 0x1F) << 8 | section[at + 3]) : 0;
        }
    }
    void read_streams(const Payload& payload) {
        const BytesView section = section_of(payload, 0x02, 12);
        if (!streams_.empty() || section.empty()) {
            return;
        }
        // The program's own descriptors end the header: their length is its last two bytes.
        const auto* length = section.data() - 2;
        std::size_t at = static_cast<std::size_t>((length[0] & 0x0F) << 8 | length[1]);
        while (at + 5 <= section.size() && streams_.size() < kStreamsMax) {
            const auto pid = static_cast<std::uint32_t>((section[at + 1] & 0x1F) << 8 | section[at + 2]);
            streams_[pid].type = section[at];
            at += std::size_t{5} + static_cast<std::size_t>((section[at + 3] & 0x0F) << 8 | section[at + 4]);
        }
    }
    static void add(Stream& stream, const Payload& payload) {
        BytesView bytes = payload.bytes;
        if (payload.starts) {
            if (bytes.size() < 9 || std::size_t{9} + bytes[8] > bytes.size()) {
                return;
            }
            bytes = bytes.subspan(std::size_t{9} + bytes[8]);  // the header of the PES packet
        } else if (stream.head.empty()) {
            return;
        }
        const std::size_t room = kHeadMax - std::min(kHeadMax, stream.head.size());
        bytes = bytes.first(std::min(room, bytes.size()));
        stream.head.insert(stream.head.end(), bytes.begin(), bytes.end());
    }

    std::uint32_t program_ = 0;
    std::map<std::uint32_t, Stream> streams_;
};

// What follows the start code of the first unit that `wanted` takes, without emulation prevention bytes.
template <typename Wanted>
Bytes unit_of(BytesView stream, Wanted wanted, std::size_t size) {
    for (std::size_t i = 0; i + 3 < stream.size(); ++i) {
        if (stream[i] != 0 || stream[i + 1] != 0 || stream[i + 2] != 1 || !wanted(stream[i + 3])) {
            continue;
        }
        Bytes out;
        int zeros = 0;
        for (std::size_t k = i + 3; k < stream.size() && out.size() < size; ++k) {
            if (zeros >= 2 && stream[k] == 3) {
                zeros = 0;
                continue;
            }
            zeros = stream[k] == 0 ? zeros + 1 : 0;
            out.push_back(stream[k]);
        }
        return out.size() == size ? out : Bytes();
    }
    return {};
}

std::string avc_name(BytesView stream) {
    const Bytes unit = unit_of(stream, [](std::uint8_t byte) { return (byte & 0x1F) == 7; }, 4);
    return unit.empty() ? "" : fmt::format("avc1.{:02x}{:02x}{:02x}", unit[1], unit[2], unit[3]);
}

// ISO/IEC 14496-15, annex E.3: profile, compatibility (bits reversed), tier and level, constraints.
std::string hevc_name(BytesView stream) {
    const Bytes unit = unit_of(stream, [](std::uint8_t byte) { return (byte >> 1 & 0x3F) == 33; }, 15);
    if (unit.empty()) {
        return "";
    }
    std::uint32_t compatible = 0;
    for (std::size_t bit = 0; bit < 32; ++bit) {
        const bool set = (unit[4 + bit / 8] >> (7 - bit % 8) & 1) != 0;
        compatible |= static_cast<std::uint32_t>(set) << bit;
    }
    std::string out = fmt::format(
        "hvc1.{}.{:x}.{}{}", unit[3] & 0x1F, compatible, (unit[3] & 0x20) != 0 ? 'H' : 'L', unit[14]
    );
    std::size_t last = 14;
    while (last > 8 && unit[last - 1] == 0) {
        --last;
    }
    for (std::size_t i = 8; i < last; ++i) {
        out += fmt::format(".{:x}", unit[i]);
    }
    return out;
}

std::string name_of(const Stream& stream) {
    switch (stream.type) {
        case kH264:
            return avc_name(stream.head);
        case kHevc:
            return hevc_name(stream.head);
        case kAac:
            // The object type of the ADTS header is one more than its profile.
            return stream.head.size() < 3 || stream.head[0] != 0xFF
                       ? ""
                       : fmt::format("mp4a.40.{}", (stream.head[2] >> 6) + 1);
        case 0x03:
        case 0x04:
            return "mp4a.40.34";
        case 0x81:
            return "ac-3";
        case 0x87:
            return "ec-3";
        default:
            return "";
    }
}

}  // namespace

std::string ts_codecs(BytesView segment) {
    Reader reader;
    const std::size_t end = std::min(segment.size(), kReadMax);
    for (std::size_t at = 0; at + kPacket <= end && !reader.done(); at += kPacket) {
        if (const auto payload = payload_of(segment.subspan(at, kPacket))) {
            reader.take(*payload);
        }
    }
    std::string video;
    std::string sound;
    for (const auto& [pid, stream] : reader.streams()) {
        const std::string name = name_of(stream);
        if (name.empty()) {
            return {};
        }
        std::string& list = stream.type == kH264 || stream.type == kHevc ? video : sound;
        list += (list.empty() ? "" : ",") + name;
    }
    return video.empty() || sound.empty() ? video + sound : video + "," + sound;
}

}  // namespace framegrid::media
