#include <framegrid/sandbox/message.hpp>

#include <algorithm>
#include <bit>

#include <framegrid/base/utf8.hpp>

#include <fmt/format.h>

namespace framegrid::sandbox {

namespace {

enum class Type : std::uint8_t {
    kSetup = 1,
    kReady,
    kRun,
    kCancel,
    kEndSession,
    kDone,
    kEarly,
    kProgress,
    kUsage,
    kPrepare
};

constexpr std::size_t kListMax = 1024;
constexpr std::size_t kNameBytesMax = 1024;
constexpr std::size_t kErrorBytesMax = 2048;
constexpr std::size_t kLabelBytesMax = 200;

class Writer {
  public:
    template <class T>
    void integer(T value) {
        auto bits = static_cast<std::make_unsigned_t<T>>(value);
        for (std::size_t i = 0; i < sizeof(T); ++i) {
            bytes_.push_back(static_cast<std::uint8_t>(bits));
            bits = static_cast<decltype(bits)>(sizeof(T) > 1 ? bits >> 8U : 0);
        }
    }
    void flag(bool value) { integer<std::uint8_t>(value ? 1 : 0); }
    template <class E>
        requires std::is_enum_v<E>
    void enumerator(E value) {
        integer(static_cast<std::uint8_t>(value));
    }
    void bytes(BytesView view) {
        integer(static_cast<std::uint32_t>(view.size()));
        bytes_.insert(bytes_.end(), view.begin(), view.end());
    }
    void text(std::string_view view) { bytes(as_bytes(view)); }
    template <class T>
    void maybe(const std::optional<T>& value) {
        flag(value.has_value());
        if (value) {
            integer(*value);
        }
    }
    Bytes take() && { return std::move(bytes_); }

  private:
    Bytes bytes_;
};

// Every read is checked; after the first bad one, all further reads give zeros and ok() stays false.
class Reader {
  public:
    explicit Reader(BytesView bytes) : bytes_(bytes) {}

    bool ok() const { return ok_; }
    bool at_end() const { return ok_ && bytes_.empty(); }
    void refuse() { ok_ = false; }

    template <class T>
    T integer() {
        const BytesView raw = take(sizeof(T));
        std::make_unsigned_t<T> bits = 0;
        for (std::size_t i = raw.size(); i > 0; --i) {
            bits = static_cast<decltype(bits)>((sizeof(T) > 1 ? bits << 8U : 0) | raw[i - 1]);
        }
        return static_cast<T>(bits);
    }
    bool flag() { return integer_up_to(1) == 1; }
    template <class E>
    E enumerator(E last) {
        return static_cast<E>(integer_up_to(static_cast<std::uint8_t>(last)));
    }
    BytesView bytes(std::size_t limit) {
        const auto size = integer<std::uint32_t>();
        if (size > limit) {
            ok_ = false;
        }
        return take(size);
    }
    std::string text(std::size_t limit) { return std::string(as_text(bytes(limit))); }
    // Text that a person or a header line will show: no control characters.
    std::string name() {
        std::string value = text(kNameBytesMax);
        if (std::ranges::any_of(value, [](char c) {
                return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
            })) {
            ok_ = false;
        }
        return value;
    }
    template <class T>
    std::optional<T> maybe() {
        return flag() ? std::optional<T>(integer<T>()) : std::nullopt;
    }
    std::size_t count(std::size_t limit) {
        const auto value = integer<std::uint32_t>();
        if (value > limit) {
            ok_ = false;
        }
        return ok_ ? value : 0;
    }

  private:
    BytesView take(std::size_t size) {
        if (!ok_ || size > bytes_.size()) {
            ok_ = false;
            return {};
        }
        const BytesView out = bytes_.first(size);
        bytes_ = bytes_.subspan(size);
        return out;
    }
    std::uint8_t integer_up_to(std::uint8_t last) {
        const auto value = integer<std::uint8_t>();
        if (value > last) {
            ok_ = false;
        }
        return ok_ ? value : std::uint8_t{0};
    }

    BytesView bytes_;
    bool ok_ = true;
};

std::string without_control(std::string text) {
    std::ranges::replace_if(
        text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, '?'
    );
    return text;
}

void put_list(Writer& out, const std::vector<std::string>& list) {
    out.integer(static_cast<std::uint32_t>(list.size()));
    for (const auto& entry : list) {
        out.text(entry);
    }
}

std::vector<std::string> get_list(Reader& in) {
    std::vector<std::string> list;
    for (std::size_t left = in.count(kListMax); left > 0 && in.ok(); --left) {
        list.push_back(in.text(4096));
    }
    return list;
}

void put_profile(Writer& out, const media::VideoProfile& profile) {
    out.text(profile.name);
    out.integer(profile.width);
    out.integer(profile.height);
    out.integer(profile.bitrate_bps);
    out.integer(profile.fps_num);
    out.integer(profile.fps_den);
    out.enumerator(profile.container);
    out.enumerator(profile.h264_profile);
    out.integer(profile.gop_ms);
    out.enumerator(profile.encoder);
    out.integer(profile.color_depth);
    out.enumerator(profile.chroma);
    out.integer(profile.quality);
}

media::VideoProfile get_profile(Reader& in) {
    media::VideoProfile profile;
    profile.name = in.text(kNameBytesMax);
    profile.width = in.integer<int>();
    profile.height = in.integer<int>();
    profile.bitrate_bps = in.integer<std::int64_t>();
    profile.fps_num = in.integer<std::uint32_t>();
    profile.fps_den = in.integer<std::uint32_t>();
    profile.container = in.enumerator(media::Container::kMp4);
    profile.h264_profile = in.enumerator(media::H264Profile::kConstrainedHigh);
    profile.gop_ms = in.integer<int>();
    profile.encoder = in.enumerator(media::Encoder::kVp9);
    profile.color_depth = in.integer<int>();
    profile.chroma = in.enumerator(media::Chroma::k444);
    profile.quality = in.integer<std::uint32_t>();
    return profile;
}

void put_work(Writer& out, const api::Work& work) {
    out.text(work.session_id);
    out.text(work.input_content_type);
    out.integer(static_cast<std::int8_t>(work.priority));
    out.bytes(work.input.view());
    const auto* transcode = std::get_if<api::TranscodeWork>(&work.kind);
    out.flag(transcode != nullptr);
    if (transcode == nullptr) {
        const auto& ai = std::get<api::AiWork>(work.kind);
        out.text(ai.pipeline);
        out.text(ai.model_id);
        out.text(ai.parameters);
        out.flag(ai.progress);
        out.integer(ai.preview_steps);
        return;
    }
    out.integer(static_cast<std::uint32_t>(transcode->profiles.size()));
    for (const auto& profile : transcode->profiles) {
        put_profile(out, profile);
    }
    out.integer(transcode->duration_ms);
    out.flag(transcode->clip.has_value());
    if (transcode->clip) {
        out.integer(transcode->clip->from_ms);
        out.integer(transcode->clip->to_ms);
    }
    out.flag(transcode->force_reinit);
    out.flag(transcode->early);
}

api::Work get_work(Reader& in) {
    api::Work work;
    work.session_id = in.text(kNameBytesMax);
    work.input_content_type = in.text(kNameBytesMax);
    const auto priority = in.integer<std::int8_t>();
    if (priority < -1 || priority > 1) {
        in.refuse();
    } else {
        work.priority = static_cast<api::Priority>(priority);
    }
    work.input = Blob::copy_of(in.bytes(kInlineMax));
    if (!in.flag()) {
        api::AiWork ai;
        ai.pipeline = in.text(kNameBytesMax);
        ai.model_id = in.text(kNameBytesMax);
        ai.parameters = in.text(kMessageBytesMax);
        ai.progress = in.flag();
        ai.preview_steps = in.integer<int>();
        work.kind = std::move(ai);
        return work;
    }
    api::TranscodeWork transcode;
    for (std::size_t left = in.count(kListMax); left > 0 && in.ok(); --left) {
        transcode.profiles.push_back(get_profile(in));
    }
    transcode.duration_ms = in.integer<std::int64_t>();
    if (in.flag()) {
        api::Clip clip;
        clip.from_ms = in.integer<std::int64_t>();
        clip.to_ms = in.integer<std::int64_t>();
        transcode.clip = clip;
    }
    transcode.force_reinit = in.flag();
    transcode.early = in.flag();
    work.kind = std::move(transcode);
    return work;
}

void put_artifact(Writer& out, const ArtifactMessage& message) {
    const api::Artifact& artifact = message.artifact;
    out.text(artifact.name);
    out.text(artifact.content_type);
    out.integer(artifact.pixels.value);
    out.maybe(artifact.seed);
    out.flag(message.region.has_value());
    if (message.region) {
        out.integer(message.region->offset);
        out.integer(message.region->size);
    } else {
        out.bytes(artifact.bytes.view());
    }
}

ArtifactMessage get_artifact(Reader& in) {
    ArtifactMessage message;
    api::Artifact& artifact = message.artifact;
    artifact.name = in.name();
    artifact.content_type = in.name();
    artifact.pixels.value = in.integer<std::int64_t>();
    artifact.seed = in.maybe<std::int64_t>();
    if (artifact.pixels.value < 0) {
        in.refuse();
    }
    if (in.flag()) {
        Region region;
        region.offset = in.integer<std::uint64_t>();
        region.size = in.integer<std::uint64_t>();
        message.region = region;
    } else {
        artifact.bytes = Blob::copy_of(in.bytes(kInlineMax));
    }
    return message;
}

void put_ai_run(Writer& out, const std::optional<api::AiRun>& run) {
    out.flag(run.has_value());
    if (run) {
        out.text(run->model_id);
        out.text(run->model_digest);
        out.integer(run->steps);
        out.integer(run->runtime_ms);
    }
}

std::optional<api::AiRun> get_ai_run(Reader& in) {
    if (!in.flag()) {
        return std::nullopt;
    }
    api::AiRun run;
    run.model_id = in.name();
    run.model_digest = in.name();
    run.steps = in.integer<int>();
    run.runtime_ms = in.integer<std::int64_t>();
    if (run.steps < 0 || run.runtime_ms < 0) {
        in.refuse();
    }
    return run;
}

void put(Writer& out, const SetupMessage& message) {
    out.enumerator(Type::kSetup);
    out.integer(message.memory_bytes_max);
    out.flag(message.gpu);
    put_list(out, message.readable);
}

void put(Writer& out, const ReadyMessage& message) {
    out.enumerator(Type::kReady);
    put_list(out, message.missing);
}

void put(Writer& out, const RunMessage& message) {
    out.enumerator(Type::kRun);
    out.integer(message.task);
    out.integer(message.slot);
    out.integer(message.deadline_ms);
    put_work(out, message.work);
    out.text(message.work.trace.trace_id);
    out.maybe(message.input_shared);
    out.maybe(message.output_shared);
}

void put(Writer& out, const CancelMessage& message) {
    out.enumerator(Type::kCancel);
    out.integer(message.task);
}

void put(Writer& out, const EndSessionMessage& message) {
    out.enumerator(Type::kEndSession);
    out.text(message.session_id);
}

void put(Writer& out, const EarlyMessage& message) {
    out.enumerator(Type::kEarly);
    out.integer(message.task);
    out.integer(message.index);
    put_artifact(out, message.entry);
}

void put(Writer& out, const ProgressMessage& message) {
    out.enumerator(Type::kProgress);
    out.integer(message.task);
    out.integer(message.progress.done);
    out.integer(message.progress.total);
    out.bytes(message.progress.preview.view());
}

void put(Writer& out, const DoneMessage& message) {
    out.enumerator(Type::kDone);
    out.integer(message.task);
    out.flag(message.retire);
    out.flag(message.outcome.has_value());
    if (!message.outcome) {
        const Error& error = message.outcome.error();
        out.enumerator(error.code);
        out.enumerator(error.disposition);
        out.text(std::string_view(error.message).substr(0, kErrorBytesMax));
        out.text(std::string_view(error.field).substr(0, kNameBytesMax));
        return;
    }
    out.integer(message.outcome->decoded.value);
    put_ai_run(out, message.outcome->ai);
    out.integer(static_cast<std::uint32_t>(message.outcome->artifacts.size()));
    for (const auto& artifact : message.outcome->artifacts) {
        put_artifact(out, artifact);
    }
}

void put(Writer& out, const PrepareMessage& /*unused*/) {
    out.enumerator(Type::kPrepare);
}

void put(Writer& out, const UsageMessage& message) {
    const auto& use = message.use;
    out.enumerator(Type::kUsage);
    out.text(use.device);
    out.integer(use.memory_bytes_max);
    out.integer(use.work_memory_bytes_max);
    out.integer(use.turns);
    out.integer(use.turn_jobs);
    const auto count = std::min(use.models.size(), api::kModelUsesMax);
    out.integer(static_cast<std::uint32_t>(count));
    for (std::size_t i = 0; i < count; ++i) {
        const auto& model = use.models[i];
        out.text(std::string_view(model.id).substr(0, kNameBytesMax));
        out.integer(model.loads);
        out.integer(model.load_failures);
        out.integer(model.evicted);
        out.integer(model.idled);
        out.integer(model.no_room);
        out.integer(model.networks);
        out.integer(model.networks_ms);
        out.integer(model.bytes);
    }
}

// Labels of metrics are made of these.
std::string get_label(Reader& in) {
    return valid_utf8(without_control(in.text(kNameBytesMax)).substr(0, kLabelBytesMax));
}

Message get_usage(Reader& in) {
    UsageMessage message;
    message.use.device = get_label(in);
    message.use.memory_bytes_max = in.integer<std::int64_t>();
    message.use.work_memory_bytes_max = in.integer<std::int64_t>();
    message.use.turns = in.integer<std::uint64_t>();
    message.use.turn_jobs = in.integer<std::uint64_t>();
    for (std::size_t left = in.count(api::kModelUsesMax); left > 0 && in.ok(); --left) {
        api::ModelUse model;
        model.id = get_label(in);
        model.loads = in.integer<std::uint64_t>();
        model.load_failures = in.integer<std::uint64_t>();
        model.evicted = in.integer<std::uint64_t>();
        model.idled = in.integer<std::uint64_t>();
        model.no_room = in.integer<std::uint64_t>();
        model.networks = in.integer<std::uint64_t>();
        model.networks_ms = in.integer<std::int64_t>();
        model.bytes = in.integer<std::int64_t>();
        message.use.models.push_back(std::move(model));
    }
    return message;
}

Message get_run(Reader& in) {
    RunMessage message;
    message.task = in.integer<std::uint64_t>();
    message.slot = in.integer<std::uint32_t>();
    if (message.slot >= kSlotsMax) {
        in.refuse();
    }
    message.deadline_ms = in.integer<std::uint64_t>();
    message.work = get_work(in);
    message.work.trace.trace_id = in.name();
    message.input_shared = in.maybe<std::uint64_t>();
    message.output_shared = in.maybe<std::uint64_t>();
    return message;
}

Message get_early(Reader& in) {
    EarlyMessage message;
    message.task = in.integer<std::uint64_t>();
    message.index = in.integer<std::uint32_t>();
    message.entry = get_artifact(in);
    return message;
}

Message get_progress(Reader& in) {
    ProgressMessage message;
    message.task = in.integer<std::uint64_t>();
    message.progress.done = in.integer<int>();
    message.progress.total = in.integer<int>();
    message.progress.preview = Blob::copy_of(in.bytes(kInlineMax));
    if (!api::is_consistent(message.progress)) {
        in.refuse();
    }
    return message;
}

Message get_done(Reader& in) {
    DoneMessage message;
    message.task = in.integer<std::uint64_t>();
    message.retire = in.flag();
    if (!in.flag()) {
        Error error;
        error.code = in.enumerator(Errc::kInternal);
        error.disposition = in.enumerator(Disposition::kFatal);
        error.message = without_control(in.text(kErrorBytesMax));
        error.field = without_control(in.text(kNameBytesMax));
        message.outcome = std::unexpected(std::move(error));
        return message;
    }
    OutputMessage output;
    output.decoded.value = in.integer<std::int64_t>();
    if (output.decoded.value < 0) {
        in.refuse();
    }
    output.ai = get_ai_run(in);
    for (std::size_t left = in.count(kArtifactsMax); left > 0 && in.ok(); --left) {
        output.artifacts.push_back(get_artifact(in));
    }
    message.outcome = std::move(output);
    return message;
}

Message get(Reader& in) {
    switch (static_cast<Type>(in.integer<std::uint8_t>())) {
        case Type::kSetup: {
            SetupMessage message;
            message.memory_bytes_max = in.integer<std::uint64_t>();
            message.gpu = in.flag();
            message.readable = get_list(in);
            return message;
        }
        case Type::kReady: {
            ReadyMessage message{get_list(in)};
            std::ranges::transform(message.missing, message.missing.begin(), without_control);
            return message;
        }
        case Type::kRun:
            return get_run(in);
        case Type::kCancel:
            return CancelMessage{in.integer<std::uint64_t>()};
        case Type::kEndSession:
            return EndSessionMessage{in.text(kNameBytesMax)};
        case Type::kDone:
            return get_done(in);
        case Type::kEarly:
            return get_early(in);
        case Type::kProgress:
            return get_progress(in);
        case Type::kUsage:
            return get_usage(in);
        case Type::kPrepare:
            return PrepareMessage{};
    }
    in.refuse();
    return CancelMessage{};
}

constexpr std::size_t kLengthBytes = 4;

std::uint32_t length_at(const std::uint8_t* at) {
    return static_cast<std::uint32_t>(at[0]) | static_cast<std::uint32_t>(at[1]) << 8U |
           static_cast<std::uint32_t>(at[2]) << 16U | static_cast<std::uint32_t>(at[3]) << 24U;
}

}  // namespace

Result<Bytes> encode(const Message& message) {
    Writer out;
    out.integer<std::uint32_t>(0);
    std::visit([&](const auto& m) { put(out, m); }, message);
    Bytes frame = std::move(out).take();
    const std::size_t length = frame.size() - kLengthBytes;
    if (length > kMessageBytesMax) {
        return fail(
            Errc::kTooLarge,
            fmt::format("the task's description has {} bytes, over {}", length, kMessageBytesMax)
        );
    }
    for (std::size_t i = 0; i < kLengthBytes; ++i) {
        frame[i] = static_cast<std::uint8_t>(length >> (8 * i));
    }
    return frame;
}

Result<Message> decode(BytesView payload) {
    Reader in(payload);
    Message message = get(in);
    if (!in.at_end()) {
        return fail(Errc::kProtocol, fmt::format("a malformed message of {} bytes", payload.size()));
    }
    return message;
}

void FrameReader::append(BytesView bytes) {
    buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(used_));
    used_ = 0;
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
}

Result<std::optional<Message>> FrameReader::next() {
    const std::size_t have = buffer_.size() - used_;
    if (have < kLengthBytes) {
        return std::nullopt;
    }
    const std::size_t length = length_at(buffer_.data() + used_);
    if (length > kMessageBytesMax) {
        return fail(Errc::kProtocol, fmt::format("a message that claims {} bytes", length));
    }
    if (have < kLengthBytes + length) {
        return std::nullopt;
    }
    const BytesView payload = BytesView(buffer_).subspan(used_ + kLengthBytes, length);
    used_ += kLengthBytes + length;
    FG_TRY(message, decode(payload));
    return message;
}

}  // namespace framegrid::sandbox
