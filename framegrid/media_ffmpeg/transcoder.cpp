#include <framegrid/media_ffmpeg/transcoder.hpp>

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

// How the processor is shared out when renditions are wanted early, in the profiles' order: clients get them
// in that order, so the first one is what they wait for.
struct EarlyPlan {
    unsigned cores = std::max(1U, std::thread::hardware_concurrency());
    unsigned slots = std::max(1U, cores / 2);  // until the first one is done
    int encoder_threads = static_cast<int>(std::clamp(cores + cores / 2, 1U, 8U));  // of the first one
    int decoder_threads = static_cast<int>(std::min(cores, 2U));
};

// One segment in progress: the renditions, their threads and what they made.
class Transcode {
  public:
    Transcode(
        const TranscoderSettings& settings, const Hardware& hardware, Session& session,
        const api::TranscodeWork& work, const api::StopFlag& stop, const api::ArtifactSink& early
    )
        : settings_(settings),
          hardware_(hardware),
          session_(session),
          work_(work),
          stop_(stop),
          early_(early) {
        if (work.early && early && work.profiles.size() > 1) {
            turns_.emplace(plan_.slots);
        }
        run_.preset = settings.preset;
        run_.tune = settings.tune;
        run_.hardware = &hardware;
        run_.stop = &stop;
        for (const auto& profile : work.profiles) {
            (format_of(profile) == OutputFormat::kMp4 ? run_.makes_mp4 : run_.makes_mpegts) = true;
        }
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
    void tell(std::size_t index, const api::Artifact& made);
    void let_wait(const AVFrame& picture);
    Result<Pixels> decode(SegmentDecoder& decoder);
    Result<api::WorkOutput> collect(Result<Pixels> decoded);

    const TranscoderSettings& settings_;
    const Hardware& hardware_;
    Session& session_;
    const api::TranscodeWork& work_;
    const api::StopFlag& stop_;
    const api::ArtifactSink& early_;
    const EarlyPlan plan_;
    std::optional<Turns> turns_;  // set when renditions are wanted early, by somebody who is told
    std::mutex telling_;
    std::size_t done_ = 0;  // renditions, under `telling_`
    SegmentRun run_;
    std::vector<std::unique_ptr<Rendition>> renditions_;
    std::vector<Result<api::Artifact>> made_;
};

// The last one comes with the whole result in no time.
void Transcode::tell(std::size_t index, const api::Artifact& made) {
    const std::lock_guard lock(telling_);
    if (++done_ < renditions_.size() && turns_) {
        early_(index, made);
    }
}

// Renditions may fall behind the first one by as many pictures as there is memory for. Those of a GPU are
// few.
void Transcode::let_wait(const AVFrame& picture) {
    if (!turns_ || picture.hw_frames_ctx != nullptr) {
        return;
    }
    std::size_t bytes = 1;
    for (const AVBufferRef* buffer : picture.buf) {
        bytes += buffer == nullptr ? 0 : buffer->size;
    }
    for (const auto& rendition : renditions_) {
        rendition->let_wait(std::max(settings_.frames_queued_max, settings_.early_bytes_max / bytes));
    }
}

Result<api::Artifact> Transcode::make(std::size_t index, bool audio_only) {
    Rendition& rendition = *renditions_[index];
    const int rank = static_cast<int>(index) + 1;  // 0: the decoder
    Result<api::Artifact> made = fail(Errc::kInternal, "not made");
    try {
        made = audio_only ? rendition.make_audio_only() : rendition.make(turns_ ? &*turns_ : nullptr, rank);
    } catch (const std::exception& error) {
        made = fail(Errc::kInternal, std::string("out of memory: ") + error.what());
    }
    if (!made) {
        run_.failed = true;
        rendition.abandon();
    } else {
        tell(index, *made);
    }
    if (turns_ && index == 0) {
        turns_->add_slots(plan_.cores - plan_.slots);
    }
    return made;
}

void Transcode::start() {
    renditions_.clear();
    for (std::size_t i = 0; i < work_.profiles.size(); ++i) {
        const bool is_first = turns_ && i == 0;
        renditions_.push_back(std::make_unique<Rendition>(
            work_.profiles[i], run_, *session_.scalers[i], settings_.frames_queued_max,
            is_first ? plan_.encoder_threads : settings_.encoder_threads
        ));
        made_.emplace_back(fail(Errc::kCancelled, "stopped"));
    }
}

Result<Pixels> Transcode::decode(SegmentDecoder& decoder) {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < renditions_.size(); ++i) {
        threads.emplace_back([this, i] { made_[i] = make(i, false); });
    }
    Result<Pixels> decoded = fail(Errc::kInternal, "not decoded");
    Turns::Turn turn(turns_ ? &*turns_ : nullptr, 0);
    bool is_first = true;
    try {
        decoded = decoder.decode(work_.clip, [&](const AVFrame& picture) {
            if (std::exchange(is_first, false)) {
                let_wait(picture);
            }
            turn.pause();  // a full queue is emptied by somebody else's turn
            const bool wanted = std::ranges::all_of(renditions_, [&](const auto& rendition) {
                return rendition->push(picture);
            });
            turn.resume();
            return wanted;
        });
    } catch (const std::exception& error) {
        // The threads below must hear of it before anything unwinds.
        decoded = fail(Errc::kInternal, std::string("out of memory: ") + error.what());
    }
    turn.pause();
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
    const int threads = turns_ ? plan_.decoder_threads : settings_.decoder_threads;
    FG_TRY(decoder, SegmentDecoder::open(segment, session_, run_, threads, hardware_));
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
    (void)mallopt(M_ARENA_MAX, 1);  // others return their heaps whatever the thresholds say
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
    if (settings.hw != "none") {
        using Kind = Hardware::Kind;
        settings.log.info(
            "media.hardware", {{"wanted", settings.hw},
                               {"decodes_on", hardware.kind == Kind::kNvidia  ? "nvidia"
                                              : hardware.kind == Kind::kVaapi ? "vaapi"
                                                                              : "processor"},
                               {"encodes_on", hardware.encodes ? "the same" : "processor"}}
        );
    }
    auto state = std::make_unique<State>();
    state->settings = std::move(settings);
    state->hardware = std::move(hardware);
    return std::unique_ptr<FfmpegTranscoder>(new FfmpegTranscoder(std::move(state)));
}

Result<api::WorkOutput> FfmpegTranscoder::transcode(
    const std::string& session_id, const api::TranscodeWork& work, const Blob& segment,
    const api::StopFlag& stop, const api::ArtifactSink& early
) {
    FG_CHECK(check_work(work, segment));
    if (work.profiles.empty()) {
        return api::WorkOutput{};
    }
    try {
        auto session = state_->take(session_id, work.force_reinit);
        auto output = Transcode(state_->settings, state_->hardware, *session, work, stop, early).run(segment);
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
