#include <framegrid/media/file_types.hpp>

#include <algorithm>
#include <array>

#include <framegrid/media/sniff.hpp>

namespace framegrid::media {

namespace {

struct FileType {
    std::string_view extension;
    std::string_view content_type;
};

// The first one of a content type is its usual ending.
constexpr std::array kTypes{
    FileType{".png", "image/png"},   FileType{".jpg", "image/jpeg"}, FileType{".jpeg", "image/jpeg"},
    FileType{".webp", "image/webp"}, FileType{".gif", "image/gif"},  FileType{".bmp", "image/bmp"},
    FileType{".mp4", "video/mp4"},   FileType{".ts", "video/mp2t"},  FileType{".webm", "video/webm"},
};

}  // namespace

std::string_view extension_of(std::string_view content_type) {
    const auto at = std::ranges::find(kTypes, content_type, &FileType::content_type);
    return at == kTypes.end() ? std::string_view(".bin") : at->extension;
}

std::string_view content_type_of(std::string_view path) {
    const auto at =
        std::ranges::find_if(kTypes, [&](const FileType& type) { return path.ends_with(type.extension); });
    return at == kTypes.end() ? std::string_view("application/octet-stream") : at->content_type;
}

std::optional<std::string_view> recognise(BytesView bytes) {
    if (const auto still = still_format(bytes)) {
        switch (*still) {
            case StillFormat::kPng:
                return "image/png";
            case StillFormat::kJpeg:
                return "image/jpeg";
            case StillFormat::kWebp:
                return "image/webp";
            case StillFormat::kGif:
                return "image/gif";
            case StillFormat::kBmp:
                return "image/bmp";
        }
    }
    if (looks_like_mpegts(bytes)) {
        return "video/mp2t";
    }
    constexpr std::string_view kMatroska = "\x1a\x45\xdf\xa3";
    if (as_text(bytes).starts_with(kMatroska)) {
        return "video/webm";
    }
    return looks_like_video(bytes) ? std::optional<std::string_view>("video/mp4") : std::nullopt;
}

}  // namespace framegrid::media
