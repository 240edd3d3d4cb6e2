// The newest segments of one live stream, all renditions in step, as HLS. Socket-free.
//
// Segments may be finished in any order. They are committed in the order of their sequence numbers: one waits
// for the smaller ones that are still being worked on. What was committed never changes (RFC 8216
// section 6.2.2).
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <framegrid/base/bytes.hpp>
#include <framegrid/media/profile.hpp>

namespace framegrid::rest {

struct HlsSettings {
    bool enabled = true;
    std::size_t items_max = 12;         // per rendition
    std::size_t bytes_max = 10u << 20;  // per stream, all renditions; the newest item stays whatever its size
    std::size_t bytes_total_max = 512u << 20;  // all streams
    std::size_t playlist_items_max = 6;
};

// Bytes of all windows together.
struct HlsTotal {
    std::size_t bytes = 0;
};

struct HlsRendition {
    media::VideoProfile profile;
    media::Size size;  // 0x0: unknown
};

// One segment of every rendition.
struct HlsItem {
    std::int64_t duration_ms = 0;
    bool discontinuity = false;    // the source's format or the ladder changed
    std::vector<Blob> renditions;  // in the order of set_renditions()
};

class HlsWindow {
  public:
    HlsWindow(HlsSettings settings, HlsTotal& total) : settings_(settings), total_(total) {}
    ~HlsWindow();
    HlsWindow(const HlsWindow&) = delete;
    HlsWindow& operator=(const HlsWindow&) = delete;

    // Replaces the ladder; drops what is in the window when the names differ.
    void set_renditions(std::vector<HlsRendition> renditions);
    // Work on `seq` has begun; every expect() is followed by one complete() or fail().
    void expect(std::int64_t seq);
    void complete(std::int64_t seq, HlsItem item);
    void fail(std::int64_t seq);
    void end() { ended_ = true; }

    // nullopt: no rendition. URIs are relative to /stream/.
    std::optional<std::string> master_playlist(std::string_view stream) const;
    // URIs are relative to /stream/{stream}/. nullopt: no such rendition, or no segment yet.
    std::optional<std::string> media_playlist(std::string_view rendition) const;
    // `index` is the media sequence number that the playlist shows.
    std::optional<Blob> segment(std::string_view rendition, std::int64_t index) const;
    std::size_t bytes() const { return bytes_; }
    std::size_t items() const { return items_.size(); }

  private:
    struct Pending {
        int working = 0;
        std::optional<HlsItem> item;
    };
    void flush();
    void commit(std::int64_t seq, HlsItem item);
    void trim();
    void pop_front();
    std::optional<std::size_t> index_of(std::string_view rendition) const;

    HlsSettings settings_;
    HlsTotal& total_;
    std::vector<HlsRendition> renditions_;
    std::map<std::int64_t, Pending> pending_;
    std::deque<HlsItem> items_;
    std::int64_t first_index_ = 0;  // media sequence number of items_.front()
    std::optional<std::int64_t> last_seq_;
    std::int64_t target_duration_s_ = 0;  // never shrinks
    std::vector<std::int64_t> peak_bps_;
    std::vector<std::string> codecs_;  // by rendition; empty: not known
    std::size_t bytes_ = 0;
    bool gap_ = false;
    bool ended_ = false;
};

}  // namespace framegrid::rest
