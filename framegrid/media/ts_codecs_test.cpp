#include <framegrid/media/ts_codecs.hpp>

#include <gtest/gtest.h>

namespace framegrid::media {
namespace {

// One packet of a stream: its payload, filled up in front.
Bytes packet(unsigned pid, const Bytes& payload, bool starts = true) {
    Bytes out{
        0x47, static_cast<std::uint8_t>((starts ? 0x40 : 0) | pid >> 8), static_cast<std::uint8_t>(pid), 0x30
    };
    const std::size_t fill = 188 - 5 - payload.size();
    out.push_back(static_cast<std::uint8_t>(fill));
    out.insert(out.end(), fill, 0xFF);
    out.insert(out.end(), payload.begin(), payload.end());
    return out;
}

// A table with one section: pointer, header, `body`, and room for the checksum.
Bytes table(std::uint8_t id, const Bytes& header, const Bytes& body) {
    const auto length = static_cast<std::uint8_t>(5 + header.size() + body.size() + 4);
    Bytes out{0, id, 0xB0, length, 0, 1, 0xC1, 0, 0};
    out.insert(out.end(), header.begin(), header.end());
    out.insert(out.end(), body.begin(), body.end());
    out.insert(out.end(), 4, 0);
    return out;
}

Bytes pes(std::uint8_t id, const Bytes& payload) {
    Bytes out{0, 0, 1, id, 0, 0, 0x80, 0x80, 5, 0x21, 0, 1, 0, 1};
    out.insert(out.end(), payload.begin(), payload.end());
    return out;
}

Bytes operator+(Bytes a, const Bytes& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

const Bytes kTables = packet(0, table(0, {}, {0, 1, 0xF0, 0x00}));
Bytes streams(std::uint8_t video, std::uint8_t sound) {
    return kTables + packet(
                         0x1000, table(
                                     2, {0xE1, 0x00, 0xF0, 0x00},
                                     {video, 0xE1, 0x00, 0xF0, 0x00, sound, 0xE1, 0x01, 0xF0, 0x00}
                                 )
                     );
}
const Bytes kAdts{0xFF, 0xF1, 0x4C, 0x80, 0, 0, 0};
const Bytes kSps{0, 0, 0, 1, 0x09, 0xF0, 0, 0, 1, 0x67, 0x64, 0x00, 0x1F, 0xAC};

TEST(TsCodecs, NamesH264AndAac) {
    const Bytes segment =
        streams(0x1B, 0x0F) + packet(0x100, pes(0xE0, kSps)) + packet(0x101, pes(0xC0, kAdts));
    EXPECT_EQ(ts_codecs(segment), "avc1.64001f,mp4a.40.2");
}

TEST(TsCodecs, NamesHevcWithItsConstraints) {
    // Main 10, level 3.1: compatible with profile 2 alone; the constraint byte is followed by an emulation
    // prevention byte.
    const Bytes unit{0, 0, 1, 0x42, 0x01, 0x01, 0x02, 0x20, 0, 0, 3, 0, 0x90, 0, 0, 3, 0, 0, 3, 0, 93, 0};
    const Bytes segment =
        streams(0x24, 0x0F) + packet(0x100, pes(0xE0, unit)) + packet(0x101, pes(0xC0, kAdts));
    EXPECT_EQ(ts_codecs(segment), "hvc1.2.4.L93.90,mp4a.40.2");
}

TEST(TsCodecs, NamesAllOrNone) {
    EXPECT_EQ(ts_codecs(streams(0x1B, 0x06) + packet(0x100, pes(0xE0, kSps))), "") << "a private stream";
    EXPECT_EQ(ts_codecs(streams(0x1B, 0x0F) + packet(0x100, pes(0xE0, kSps))), "") << "no sound in it";
    EXPECT_EQ(ts_codecs({}), "");
}

TEST(TsCodecs, SurvivesDamage) {
    const Bytes whole =
        streams(0x1B, 0x0F) + packet(0x100, pes(0xE0, kSps)) + packet(0x101, pes(0xC0, kAdts));
    for (std::size_t at = 0; at < whole.size(); ++at) {
        for (const int value : {0x00, 0x47, 0xFF}) {
            Bytes damaged = whole;
            damaged[at] = static_cast<std::uint8_t>(value);
            EXPECT_LT(ts_codecs(damaged).size(), 200U);
            EXPECT_LT(ts_codecs(BytesView(damaged).first(at)).size(), 200U);
        }
    }
}

}  // namespace
}  // namespace framegrid::media
