#include <framegrid/rest/playback.hpp>

#include <framegrid/rest/request_text.hpp>

namespace framegrid::rest {

namespace {

constexpr std::string_view kPlaylist = ".m3u8";
constexpr std::string_view kSegment = ".ts";
constexpr std::string_view kPrivate = "private, max-age=3600, immutable";
constexpr std::string_view kForever = "public, max-age=3600, immutable";

Answer not_found(std::string message) {
    return error_answer(make_error(Errc::kNotFound, std::move(message)));
}

Answer media_answer(std::string content_type, Blob bytes, std::string_view cache) {
    Answer answer;
    answer.headers.add("content-type", std::move(content_type));
    answer.headers.add("cache-control", std::string(cache));
    answer.headers.add("x-content-type-options", "nosniff");
    answer.body.push_back(std::move(bytes));
    return answer;
}

Answer playlist_answer(const Call& call, const std::string& text) {
    return media_answer(
        "application/x-mpegURL", Blob::copy_of(std::string_view(text)),
        call.permit ? "private, max-age=1" : "public, max-age=1"
    );
}

// `text` without `ending`; nullopt when it ends otherwise or nothing is left.
std::optional<std::string> without(std::string_view ending, const std::string& text) {
    if (!text.ends_with(ending) || text.size() == ending.size()) {
        return std::nullopt;
    }
    return text.substr(0, text.size() - ending.size());
}

}  // namespace

const HlsWindow* Playback::window_of(const Call& call, const std::string& stream) const {
    const bool is_hidden = call.permit && !call.sees(streams_.owner_of(stream));
    return is_hidden ? nullptr : streams_.playlists(stream);
}

Task<Answer> Playback::master(Call& call) {
    const auto name = without(kPlaylist, call.parameters.at(0));
    const HlsWindow* window = name ? window_of(call, *name) : nullptr;
    const auto text = window != nullptr ? window->master_playlist(*name) : std::nullopt;
    if (!text) {
        co_return not_found("no such stream");
    }
    co_return playlist_answer(call, *text);
}

Task<Answer> Playback::file(Call& call) {
    const auto rendition = without(kPlaylist, call.parameters.at(1));
    if (!rendition) {
        const auto result = results_.get(call.parameters.at(0), call.parameters.at(1));
        if (!result) {
            co_return not_found("no such result, or it was removed");
        }
        call.memory.hold(result->bytes.size());
        co_return media_answer(result->content_type, result->bytes, kPrivate);
    }
    const HlsWindow* window = window_of(call, call.parameters.at(0));
    const auto text = window != nullptr ? window->media_playlist(*rendition) : std::nullopt;
    if (!text) {
        co_return not_found("no such rendition, or it has no segment yet");
    }
    co_return playlist_answer(call, *text);
}

Task<Answer> Playback::segment(Call& call) {
    const auto number = without(kSegment, call.parameters.at(2));
    const auto index = number ? parse_integer(*number) : std::nullopt;
    const HlsWindow* window = window_of(call, call.parameters.at(0));
    auto bytes = window != nullptr && index ? window->segment(call.parameters.at(1), *index) : std::nullopt;
    if (!bytes) {
        co_return not_found("no such segment, or it is no longer kept");
    }
    call.memory.hold(bytes->size());
    co_return media_answer("video/mp2t", std::move(*bytes), call.permit ? kPrivate : kForever);
}

}  // namespace framegrid::rest
