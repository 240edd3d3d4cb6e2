#include <framegrid/media_ffmpeg/transcoder.hpp>

#include <sys/resource.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <algorithm>
#include <map>
#include <mutex>
#include <thread>

#include <framegrid/media_ffmpeg/segment_decoder.hpp>

namespace framegrid::media_ffmpeg {
namespace {

constexpr int kNiceStep = 1;  // more would starve the larger renditions beside other programs

// On Linux the niceness belongs to the thread. Best effort: a sandbox may refuse it.
void lower_priority(int steps) {
    if (steps > 0) {
        const int now = getpriority(PRIO_PROCESS, 0);
        (void)setpriority(PRIO_PROCESS, 0, now + steps * kNiceStep);
    }
}

Result<void> check_work(const api::TranscodeWork& work, const Blob& segment) {
    if (work.profiles.size() > media::kProfilesMax) {
        return fail(Errc::kInvalidArgument, "Too many outputs: at most 10 profiles", "profiles");
    }
    if (work.duration_ms < 0 || work.duration_ms > media::kSegmentMsMax) {
        return fail(Errc::kInvalidArgument, "Invalid argument: segments last 0 to 300 s", "duration");
    }
    if (work.clip &&
        (work.clip->from_ms < 0 || (work.clip->to_ms > 0 && work.clip->from_ms > work.clip->to_ms))) {
        return fail(Errc::kInvalidArgument, "Invalid argument: the clip ends before it starts", "clip");
    }
    if (segment.size() > media::kSegmentBytesMax) {
        return fail(Errc::kTooLarge, "the segment is over 300 MB");
    }
    if (segment.empty()) {
        return fail(Errc::kUnprocessable, "TranscoderInvalidVideo: the segment is empty");
    }
    return {};
}

// Places by size, smallest first: the rank decides a rendition's priority.
std::vector<int> ranks_of(const std::vector<media::VideoProfile>& profiles) {
    std::vector<std::size_t> order(profiles.size());
    for (std::size_t i = 0; i < order.size(); ++i) {
        order[i] = i;
    }
    std::ranges::stable_sort(order, {}, [&](std::size_t i) {
        return std::int64_t{profiles[i].width} * profiles[i].height;
    });
    std::vector<int> ranks(profiles.size());
    for (std::size_t i = 0; i < order.size(); ++i) {
        ranks[order[i]] = static_cast<int>(i);
    }
    return ranks;
}

// One segment in progress: the renditions, their threads and what they made.
class Transcode {
  public:
    Transcode(
        const TranscoderSettings& settings, const Hardware& hardware, Session& session,
        const api::TranscodeWork& work, const api::StopFlag& stop, const FfmpegTranscoder::RenditionSink& sink
    )
        : settings_(settings), hardware_(hardware), session_(session), work_(work), stop_(stop), sink_(sink) {
        run_.encoder = {settings.preset, settings.tune, settings.encoder_threads};
        run_.hardware = &hardware;
        run_.stop = &stop;
        session.scalers.resize(std::max(session.scalers.size(), work.profiles.size()));
        for (auto& scaler : session.scalers) {
            if (!scaler) {
                scaler = std::make_unique<Scaler>();
            }
        }
    }

    Result<api::WorkOutput> run(const Blob& segment);

  private:
    void start();
    Result<api::Artifact> make(std::size_t index, bool audio_only);
    Result<Pixels> decode(SegmentDecoder& decoder);
    Result<api::WorkOutput> collect(Result<Pixels> decoded);

    const TranscoderSettings& settings_;
    const Hardware& hardware_;
    Session& session_;
    const api::TranscodeWork& work_;
    const api::StopFlag& stop_;
    const FfmpegTranscoder::RenditionSink& sink_;
    SegmentRun run_;
    std::vector<std::unique_ptr<Rendition>> renditions_;
    std::vector<Result<api::Artifact>> made_;
};

Result<api::Artifact> Transcode::make(std::size_t index, bool audio_only) {
    Rendition& rendition = *renditions_[index];
    Result<api::Artifact> made = fail(Errc::kInternal, "not made");
    try {
        made = audio_only ? rendition.make_audio_only() : rendition.make();
    } catch (const std::exception& error) {
        made = fail(Errc::kInternal, std::string("out of memory: ") + error.what());
    }
    if (!made) {
        run_.failed = true;
        rendition.abandon();
    } else if (sink_) {
        sink_(index, *made);
    }
    return made;
}

void Transcode::start() {
    renditions_.clear();
    for (std::size_t i = 0; i < work_.profiles.size(); ++i) {
        renditions_.push_back(std::make_unique<Rendition>(
            work_.profiles[i], run_, *session_.scalers[i], settings_.frames_queued_max
        ));
        made_.emplace_back(fail(Errc::kCancelled, "stopped"));
    }
}

Result<Pixels> Transcode::decode(SegmentDecoder& decoder) {
    const std::vector<int> ranks = ranks_of(work_.profiles);
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < renditions_.size(); ++i) {
        threads.emplace_back([this, i, rank = ranks[i]] {
            lower_priority(settings_.small_first ? rank : 0);
            made_[i] = make(i, false);
        });
    }
    Result<Pixels> decoded = fail(Errc::kInternal, "not decoded");
    try {
        decoded = decoder.decode(work_.clip, [this](const AVFrame& picture) {
            return std::ranges::all_of(renditions_, [&](const auto& rendition) {
                return rendition->push(picture);
            });
        });
    } catch (const std::exception& error) {
        // The threads below must hear of it before anything unwinds.
        decoded = fail(Errc::kInternal, std::string("out of memory: ") + error.what());
    }
    if (!decoded) {
        run_.failed = true;
    }
    for (const auto& rendition : renditions_) {
        if (decoded) {
            rendition->close();
        } else {
            rendition->abandon();
        }
    }
    return decoded;  // the threads join here
}

Result<api::WorkOutput> Transcode::collect(Result<Pixels> decoded) {
    if (stop_.load()) {
        return fail(Errc::kCancelled, "stopped");
    }
    // What really went wrong comes before what was stopped because of it.
    for (const auto& made : made_) {
        if (!made && made.error().code != Errc::kCancelled) {
            return fail(made.error());
        }
    }
    if (!decoded) {
        return fail(std::move(decoded).error());
    }
    api::WorkOutput output;
    output.decoded = *decoded;
    for (auto& made : made_) {
        if (!made) {
            return fail(std::move(made).error());
        }
        output.artifacts.push_back(std::move(*made));
    }
    return output;
}

Result<api::WorkOutput> Transcode::run(const Blob& segment) {
    FG_TRY(decoder, SegmentDecoder::open(segment, session_, run_, settings_.decoder_threads, hardware_));
    start();
    if (decoder->has_video()) {
        return collect(decode(*decoder));
    }
    auto decoded = decoder->decode(work_.clip, {});
    for (std::size_t i = 0; decoded && i < renditions_.size(); ++i) {
        made_[i] = make(i, true);
    }
    return collect(std::move(decoded));
}

}  // namespace

void keep_freed_memory() {
#ifdef __GLIBC__
    constexpr int kLarge = 1 << 30;
    (void)mallopt(M_MMAP_THRESHOLD, kLarge);
    (void)mallopt(M_TRIM_THRESHOLD, kLarge);
    (void)mallopt(M_ARENA_MAX, 2);
#endif
}

struct FfmpegTranscoder::State {
    struct Entry {
        std::unique_ptr<Session> session;
        std::uint64_t used = 0;
    };

    // Takes a session out of the table for the time of one call: nobody else can touch it meanwhile.
    std::unique_ptr<Session> take(const std::string& id, bool fresh) {
        std::unique_ptr<Session> session;
        {
            const std::lock_guard lock(mutex);
            if (const auto found = sessions.find(id); found != sessions.end()) {
                session = std::move(found->second.session);
                sessions.erase(found);
            }
        }
        if (!session || fresh) {
            const bool had_video = session && session->had_video;
            session = std::make_unique<Session>();
            session->had_video = had_video;
        }
        return session;
    }
    void give_back(const std::string& id, std::unique_ptr<Session> session) {
        std::unique_ptr<Session> dropped;  // freed outside the lock
        const std::lock_guard lock(mutex);
        sessions[id] = Entry{std::move(session), ++ticks};
        if (sessions.size() > settings.sessions_max) {
            const auto oldest =
                std::ranges::min_element(sessions, {}, [](const auto& item) { return item.second.used; });
            dropped = std::move(oldest->second.session);
            sessions.erase(oldest);
        }
    }

    TranscoderSettings settings;
    Hardware hardware;
    mutable std::mutex mutex;
    std::map<std::string, Entry> sessions;
    std::uint64_t ticks = 0;
};

FfmpegTranscoder::FfmpegTranscoder(std::unique_ptr<State> state) : state_(std::move(state)) {}
FfmpegTranscoder::~FfmpegTranscoder() = default;

Result<std::unique_ptr<FfmpegTranscoder>> FfmpegTranscoder::open(TranscoderSettings settings) {
    FG_TRY(hardware, open_hardware(settings.hw, settings.hw_device));
    auto state = std::make_unique<State>();
    state->settings = std::move(settings);
    state->hardware = std::move(hardware);
    return std::unique_ptr<FfmpegTranscoder>(new FfmpegTranscoder(std::move(state)));
}

Result<api::WorkOutput> FfmpegTranscoder::transcode(
    const std::string& session_id, const api::TranscodeWork& work, const Blob& segment,
    const api::StopFlag& stop
) {
    return transcode(session_id, work, segment, stop, {});
}

Result<api::WorkOutput> FfmpegTranscoder::transcode(
    const std::string& session_id, const api::TranscodeWork& work, const Blob& segment,
    const api::StopFlag& stop, const RenditionSink& sink
) {
    FG_CHECK(check_work(work, segment));
    if (work.profiles.empty()) {
        return api::WorkOutput{};
    }
    try {
        auto session = state_->take(session_id, work.force_reinit);
        auto output = Transcode(state_->settings, state_->hardware, *session, work, stop, sink).run(segment);
        if (!output) {
            // A decoder in the middle of a broken segment is not worth keeping.
            session->decoder.reset();
            session->known.reset();
        }
        state_->give_back(session_id, std::move(session));
        return output;
    } catch (const std::exception& error) {
        return fail(Errc::kInternal, std::string("out of memory: ") + error.what());
    }
}

void FfmpegTranscoder::end_session(const std::string& session_id) {
    std::unique_ptr<Session> dropped = state_->take(session_id, false);
}

std::size_t FfmpegTranscoder::session_count() const {
    const std::lock_guard lock(state_->mutex);
    return state_->sessions.size();
}

}  // namespace framegrid::media_ffmpeg
