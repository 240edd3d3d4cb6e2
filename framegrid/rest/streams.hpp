// The live streams that are being pushed: their ladder, their source's format, their life time. Socket-free.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <framegrid/api/media_probe.hpp>
#include <framegrid/api/work.hpp>
#include <framegrid/rest/hls_window.hpp>
#include <framegrid/rest/push_request.hpp>
#include <framegrid/runtime/clock.hpp>

namespace framegrid::rest {

struct StreamSettings {
    std::size_t streams_max = 1'000;
    Duration idle_max = std::chrono::seconds(60);  // without a push
    Duration grace = std::chrono::seconds(60);     // playlists stay, with ENDLIST
    HlsSettings hls;
};

struct Stream {
    Stream(std::string stream_name, HlsSettings settings, HlsTotal& total)
        : name(std::move(stream_name)), hls(settings, total) {}
    std::string name;
    std::string owner;        // who pushed its first segment
    std::string manifest_id;  // of the current rendition group
    int generation = 0;       // rendition groups so far
    std::vector<media::VideoProfile> profiles;
    media::Container container = media::Container::kMpegTs;  // of renditions whose codec has a place there
    int timeout_multiplier = 1;
    std::optional<api::ProbeResult> source;  // of the newest segment
    std::size_t working = 0;
    TimePoint used_at{};
    std::optional<TimePoint> ended_at;
    HlsWindow hls;
};

// One segment's passage through its stream; ends when it goes.
class Push {
  public:
    Push(std::shared_ptr<Stream> stream, std::int64_t seq, Clock& clock);
    ~Push();
    Push(Push&& other) noexcept = default;
    Push& operator=(Push&&) = delete;

    const std::string& manifest_id() const { return manifest_id_; }
    const std::vector<media::VideoProfile>& profiles() const { return profiles_; }
    int timeout_multiplier() const { return stream_->timeout_multiplier; }
    bool source_changed() const { return source_changed_; }
    // Hands the renditions (in profile order) to the playlists.
    void complete(std::vector<Blob> renditions, std::int64_t duration_ms);

  private:
    friend class StreamTable;
    std::shared_ptr<Stream> stream_;
    Clock& clock_;
    std::int64_t seq_;
    std::string manifest_id_;  // the group's when the push began
    std::vector<media::VideoProfile> profiles_;
    bool source_changed_ = false;
    bool completed_ = false;
};

// Single-threaded. Bounded by streams_max.
class StreamTable {
  public:
    StreamTable(StreamSettings settings, Clock& clock) : settings_(settings), clock_(clock) {}

    // Makes the stream on its first segment. A later segment with another ladder starts a new rendition
    // group: other sessions at the orchestrators, a discontinuity for players. kCapacity: streams_max;
    // kForbidden: a stream of that name runs and is another owner's.
    Result<Push> begin(
        const PushTarget& target, const std::optional<PushConfig>& config, const api::ProbeResult& source,
        const std::string& owner = {}
    );
    // Ends idle streams and forgets ended ones. Returns the manifest ids of groups that are over.
    std::vector<std::string> sweep();
    // nullptr when unknown or forgotten.
    const HlsWindow* playlists(const std::string& name) const;
    // Empty when unknown or forgotten.
    std::string owner_of(const std::string& name) const;
    std::size_t size() const { return streams_.size(); }
    std::size_t hls_bytes() const { return total_.bytes; }

  private:
    Result<std::shared_ptr<Stream>> make(const std::string& name, const std::string& owner);
    void start_group(
        Stream& stream, std::vector<media::VideoProfile> profiles, media::Container container,
        media::Size source
    );
    StreamSettings settings_;
    Clock& clock_;
    HlsTotal total_;  // outlives the windows that count in it
    std::map<std::string, std::shared_ptr<Stream>> streams_;
    std::vector<std::string> over_;  // groups that ended since the last sweep
};

}  // namespace framegrid::rest
