#include <framegrid/rest/hls_window.hpp>

#include <algorithm>

#include <framegrid/media/hls.hpp>
#include <framegrid/media/ts_codecs.hpp>
#include <framegrid/rest/request_text.hpp>

namespace framegrid::rest {

namespace {

// What a rendition's bitrate is announced as before any segment was measured: encoders overshoot, TS adds its
// part.
constexpr std::int64_t kOverheadPercent = 120;
constexpr std::int64_t kUnknownBps = 1'000'000;

std::size_t size_of(const HlsItem& item) {
    std::size_t bytes = 0;
    for (const auto& blob : item.renditions) {
        bytes += blob.size();
    }
    return bytes;
}

}  // namespace

HlsWindow::~HlsWindow() {
    total_.bytes -= bytes_;
}

void HlsWindow::set_renditions(std::vector<HlsRendition> renditions) {
    const auto same_name = [](const HlsRendition& a, const HlsRendition& b) {
        return a.profile.name == b.profile.name;
    };
    if (!std::ranges::equal(renditions, renditions_, same_name)) {
        while (!items_.empty()) {
            pop_front();
        }
        for (auto& [seq, pending] : pending_) {
            pending.item.reset();
        }
    }
    gap_ = gap_ || !renditions_.empty();
    peak_bps_.assign(renditions.size(), 0);
    codecs_.assign(renditions.size(), {});
    renditions_ = std::move(renditions);
}

void HlsWindow::expect(std::int64_t seq) {
    if (settings_.enabled) {
        ++pending_[seq].working;
    }
}

void HlsWindow::complete(std::int64_t seq, HlsItem item) {
    const auto found = pending_.find(seq);
    if (found == pending_.end()) {
        return;
    }
    if (item.renditions.size() == renditions_.size() && !found->second.item) {
        found->second.item = std::move(item);
    }
    --found->second.working;
    flush();
}

void HlsWindow::fail(std::int64_t seq) {
    if (const auto found = pending_.find(seq); found != pending_.end()) {
        --found->second.working;
        flush();
    }
}

void HlsWindow::flush() {
    // A segment that never ends must not hold back the others for longer than a window.
    std::size_t waiting = static_cast<std::size_t>(std::ranges::count_if(pending_, [](const auto& entry) {
        return entry.second.item.has_value();
    }));
    for (auto it = pending_.begin(); it != pending_.end();) {
        auto& pending = it->second;
        if (pending.item) {
            --waiting;
            commit(it->first, std::move(*pending.item));
            pending.item.reset();
        } else if (pending.working > 0 && waiting <= settings_.items_max) {
            break;
        }
        it = pending.working > 0 ? std::next(it) : pending_.erase(it);
    }
}

void HlsWindow::commit(std::int64_t seq, HlsItem item) {
    if (last_seq_ && seq <= *last_seq_) {
        return;  // too late, or a repetition: the playlist has moved on
    }
    item.discontinuity = item.discontinuity || gap_ || (last_seq_ && seq != *last_seq_ + 1);
    item.discontinuity = item.discontinuity && last_seq_.has_value();
    gap_ = false;
    last_seq_ = seq;
    target_duration_s_ = std::max({target_duration_s_, std::int64_t{1}, (item.duration_ms + 999) / 1000});
    for (std::size_t i = 0; i < item.renditions.size(); ++i) {
        const auto bits = static_cast<std::int64_t>(item.renditions[i].size()) * 8;
        if (codecs_[i].empty()) {
            codecs_[i] = media::ts_codecs(item.renditions[i].view());
        }
        peak_bps_[i] = std::max(peak_bps_[i], bits * 1000 / std::max<std::int64_t>(1, item.duration_ms));
    }
    bytes_ += size_of(item);
    total_.bytes += size_of(item);
    items_.push_back(std::move(item));
    trim();
}

void HlsWindow::trim() {
    while (items_.size() > 1 && (items_.size() > settings_.items_max || bytes_ > settings_.bytes_max ||
                                 total_.bytes > settings_.bytes_total_max)) {
        pop_front();
    }
}

void HlsWindow::pop_front() {
    const std::size_t bytes = size_of(items_.front());
    bytes_ -= bytes;
    total_.bytes -= bytes;
    items_.pop_front();
    ++first_index_;
}

std::optional<std::size_t> HlsWindow::index_of(std::string_view rendition) const {
    for (std::size_t i = 0; i < renditions_.size(); ++i) {
        if (renditions_[i].profile.name == rendition) {
            return i;
        }
    }
    return std::nullopt;
}

std::optional<std::string> HlsWindow::master_playlist(std::string_view stream) const {
    if (renditions_.empty()) {
        return std::nullopt;
    }
    std::vector<media::HlsVariant> variants;
    for (std::size_t i = 0; i < renditions_.size(); ++i) {
        const auto& [profile, size] = renditions_[i];
        const std::int64_t planned = profile.bitrate_bps > 0 ? profile.bitrate_bps : kUnknownBps;
        media::HlsVariant variant;
        variant.uri = std::string(stream) + "/" + profile.name + ".m3u8";
        variant.bandwidth_bps = peak_bps_[i] > 0 ? peak_bps_[i] : planned * kOverheadPercent / 100;
        variant.size = size;
        variant.codecs = codecs_[i];
        variant.fps = profile.fps_num == 0 ? 0 : static_cast<double>(profile.fps_num) / profile.fps_den;
        variants.push_back(std::move(variant));
    }
    return media::master_playlist(variants);
}

std::optional<std::string> HlsWindow::media_playlist(std::string_view rendition) const {
    const auto index = index_of(rendition);
    if (!index || items_.empty()) {
        return std::nullopt;
    }
    const std::size_t count = std::min(items_.size(), std::max<std::size_t>(1, settings_.playlist_items_max));
    const std::size_t first = items_.size() - count;
    std::vector<media::HlsSegment> segments;
    for (std::size_t i = first; i < items_.size(); ++i) {
        const auto& item = items_[i];
        media::HlsSegment segment;
        segment.uri = std::string(rendition) + "/" +
                      std::to_string(first_index_ + static_cast<std::int64_t>(i)) + ".ts";
        segment.duration_ms = item.duration_ms;
        segment.bytes = static_cast<std::int64_t>(item.renditions[*index].size());
        segment.discontinuity = item.discontinuity;
        segments.push_back(std::move(segment));
    }
    media::HlsMediaOptions options;
    options.media_sequence = first_index_ + static_cast<std::int64_t>(first);
    options.target_duration_s = target_duration_s_;
    options.sliding = true;
    options.ended = ended_;
    return media::media_playlist(segments, options);
}

std::optional<Blob> HlsWindow::segment(std::string_view rendition, std::int64_t index) const {
    const auto which = index_of(rendition);
    const std::int64_t at = index - first_index_;
    if (!which || at < 0 || at >= static_cast<std::int64_t>(items_.size())) {
        return std::nullopt;
    }
    return items_[static_cast<std::size_t>(at)].renditions[*which];
}

}  // namespace framegrid::rest
