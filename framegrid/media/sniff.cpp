#include <framegrid/media/sniff.hpp>

#include <algorithm>
#include <array>
#include <string_view>

namespace framegrid::media {
namespace {

bool has(BytesView bytes, std::size_t at, std::string_view text) {
    return bytes.size() >= at + text.size() && as_text(bytes.subspan(at, text.size())) == text;
}

std::uint32_t be16(BytesView b, std::size_t at) {
    return static_cast<std::uint32_t>(b[at] << 8 | b[at + 1]);
}
std::uint32_t be32(BytesView b, std::size_t at) {
    return be16(b, at) << 16 | be16(b, at + 2);
}
std::uint32_t le16(BytesView b, std::size_t at) {
    return static_cast<std::uint32_t>(b[at + 1] << 8 | b[at]);
}
std::uint32_t le24(BytesView b, std::size_t at) {
    return le16(b, at) | static_cast<std::uint32_t>(b[at + 2]) << 16;
}
std::uint32_t le32(BytesView b, std::size_t at) {
    return le16(b, at) | le16(b, at + 2) << 16;
}

std::optional<Size> checked(std::int64_t width, std::int64_t height) {
    if (width <= 0 || height <= 0 || width > INT32_MAX || height > INT32_MAX) {
        return std::nullopt;
    }
    return Size{static_cast<int>(width), static_cast<int>(height)};
}

bool is_mp4_family(BytesView bytes) {
    static constexpr std::array<std::string_view, 7> kBoxes{"moov", "mdat", "moof", "styp",
                                                            "free", "wide", "skip"};
    if (has(bytes, 4, "ftyp")) {
        static constexpr std::array<std::string_view, 6> kStills{"heic", "heix", "mif1",
                                                                 "msf1", "avif", "avis"};
        return std::ranges::none_of(kStills, [&](std::string_view brand) { return has(bytes, 8, brand); });
    }
    return std::ranges::any_of(kBoxes, [&](std::string_view box) { return has(bytes, 4, box); });
}

std::optional<Size> jpeg_size(BytesView b) {
    std::size_t at = 2;
    while (at + 4 <= b.size()) {
        if (b[at] != 0xFF) {
            return std::nullopt;
        }
        const unsigned marker = b[at + 1];
        if (marker == 0xFF) {  // fill byte
            ++at;
            continue;
        }
        if (marker == 0x01 || (marker >= 0xD0 && marker <= 0xD8)) {
            at += 2;
            continue;
        }
        const bool is_frame =
            marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
        if (is_frame) {
            return at + 9 <= b.size() ? checked(be16(b, at + 7), be16(b, at + 5)) : std::nullopt;
        }
        if (marker == 0xD9 || marker == 0xDA) {
            return std::nullopt;
        }
        at += 2 + be16(b, at + 2);
    }
    return std::nullopt;
}

std::optional<Size> webp_size(BytesView b) {
    if (b.size() < 30) {
        return std::nullopt;
    }
    if (has(b, 12, "VP8 ")) {
        return checked(le16(b, 26) & 0x3FFF, le16(b, 28) & 0x3FFF);
    }
    if (has(b, 12, "VP8L")) {
        const std::uint32_t bits = le32(b, 21);
        return checked((bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1);
    }
    if (has(b, 12, "VP8X")) {
        return checked(std::int64_t{le24(b, 24)} + 1, std::int64_t{le24(b, 27)} + 1);
    }
    return std::nullopt;
}

std::optional<Size> bmp_size(BytesView b) {
    if (b.size() < 26) {
        return std::nullopt;
    }
    if (le32(b, 14) == 12) {
        return checked(le16(b, 18), le16(b, 20));
    }
    const auto height = static_cast<std::int32_t>(le32(b, 22));  // negative: rows from the top
    return checked(le32(b, 18), height < 0 ? -std::int64_t{height} : std::int64_t{height});
}

}  // namespace

bool looks_like_mpegts(BytesView bytes) {
    constexpr std::size_t kPacket = 188;
    if (bytes.size() < kPacket || bytes[0] != 0x47) {
        return false;
    }
    const std::size_t packets = std::min<std::size_t>(3, bytes.size() / kPacket);
    for (std::size_t i = 1; i < packets; ++i) {
        if (bytes[i * kPacket] != 0x47) {
            return false;
        }
    }
    return true;
}

bool looks_like_video(BytesView bytes) {
    if (looks_like_mpegts(bytes) || is_mp4_family(bytes)) {
        return true;
    }
    using namespace std::string_view_literals;
    static constexpr std::array kStarts{
        "\x1A\x45\xDF\xA3"sv,  // Matroska, WebM
        "FLV\x01"sv,
        "OggS"sv,
        "DKIF"sv,
        "nut/multimedia"sv,
        "\x00\x00\x01\xBA"sv,  // MPEG program stream
        "\x00\x00\x01\xB3"sv,  // MPEG-1/2 video
        "\x00\x00\x00\x01\x67"sv,
        "\x00\x00\x00\x01\x09"sv,  // H.264 byte stream
        "\x00\x00\x00\x01\x40"sv,
        "\x00\x00\x00\x01\x46"sv,              // HEVC byte stream
        "\x30\x26\xB2\x75\x8E\x66\xCF\x11"sv,  // ASF
    };
    if (std::ranges::any_of(kStarts, [&](std::string_view start) { return has(bytes, 0, start); })) {
        return true;
    }
    if (has(bytes, 0, "RIFF") && has(bytes, 8, "AVI ")) {
        return true;
    }
    return bytes.size() > 388 && bytes[4] == 0x47 && bytes[196] == 0x47 && bytes[388] == 0x47;  // M2TS
}

std::optional<StillFormat> still_format(BytesView bytes) {
    using namespace std::string_view_literals;
    if (has(bytes, 0, "\x89PNG\r\n\x1A\n"sv)) {
        return StillFormat::kPng;
    }
    if (has(bytes, 0, "\xFF\xD8\xFF"sv)) {
        return StillFormat::kJpeg;
    }
    if (has(bytes, 0, "RIFF") && has(bytes, 8, "WEBP")) {
        return StillFormat::kWebp;
    }
    if (has(bytes, 0, "GIF87a") || has(bytes, 0, "GIF89a")) {
        return StillFormat::kGif;
    }
    if (has(bytes, 0, "BM") && bytes.size() >= 26) {
        return StillFormat::kBmp;
    }
    return std::nullopt;
}

std::optional<Size> picture_size(BytesView bytes) {
    const auto format = still_format(bytes);
    if (!format) {
        return std::nullopt;
    }
    switch (*format) {
        case StillFormat::kPng:
            return bytes.size() >= 24 && has(bytes, 12, "IHDR") ? checked(be32(bytes, 16), be32(bytes, 20))
                                                                : std::nullopt;
        case StillFormat::kJpeg:
            return jpeg_size(bytes);
        case StillFormat::kWebp:
            return webp_size(bytes);
        case StillFormat::kGif:
            return bytes.size() >= 10 ? checked(le16(bytes, 6), le16(bytes, 8)) : std::nullopt;
        case StillFormat::kBmp:
            return bmp_size(bytes);
    }
    return std::nullopt;
}

}  // namespace framegrid::media
