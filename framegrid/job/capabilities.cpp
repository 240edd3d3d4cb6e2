#include <framegrid/job/capabilities.hpp>

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

namespace framegrid::job {

namespace {

// No real number comes near; keeps a peer's capacity map from growing our bit sets without bound.
constexpr std::uint32_t kNumberMax = 1023;

struct Named {
    Capability capability;
    std::string_view name;
};

// Names as the network spells them (protocol section 4.1). 13 is reserved and has none.
constexpr std::array kNames{
    Named{Capability::kH264, "H.264"},
    Named{Capability::kMpegTs, "MPEGTS"},
    Named{Capability::kMp4, "MP4"},
    Named{Capability::kFractionalFps, "Fractional framerates"},
    Named{Capability::kStorageDirect, "Storage direct"},
    Named{Capability::kStorageS3, "Storage S3"},
    Named{Capability::kStorageGcs, "Storage GCS"},
    Named{Capability::kH264Baseline, "H264 Baseline profile"},
    Named{Capability::kH264Main, "H264 Main profile"},
    Named{Capability::kH264High, "H264 High profile"},
    Named{Capability::kH264ConstrainedHigh, "H264 Constrained, Contained High profile"},
    Named{Capability::kGop, "GOP"},
    Named{Capability::kAuthToken, "Auth token"},
    Named{Capability::kMpeg7Signature, "MPEG7 signature"},
    Named{Capability::kHevcDecode, "HEVC decode"},
    Named{Capability::kHevcEncode, "HEVC encode"},
    Named{Capability::kVp8Decode, "VP8 decode"},
    Named{Capability::kVp9Decode, "VP9 decode"},
    Named{Capability::kVp8Encode, "VP8 encode"},
    Named{Capability::kVp9Encode, "VP9 encode"},
    Named{Capability::kH264Decode444, "H264 Decode YUV444 8-bit"},
    Named{Capability::kH264Decode422, "H264 Decode YUV422 8-bit"},
    Named{Capability::kH264Decode444Depth10, "H264 Decode YUV444 10-bit"},
    Named{Capability::kH264Decode422Depth10, "H264 Decode YUV422 10-bit"},
    Named{Capability::kH264Decode420Depth10, "H264 Decode YUV420 10-bit"},
    Named{Capability::kSegmentSlicing, "Segment slicing"},
    Named{Capability::kTextToImage, "Text to image"},
    Named{Capability::kImageToImage, "Image to image"},
    Named{Capability::kImageToVideo, "Image to video"},
    Named{Capability::kUpscale, "Upscale"},
    Named{Capability::kAudioToText, "Audio to text"},
    Named{Capability::kSegmentAnything2, "Segment anything 2"},
    Named{Capability::kLlm, "Llm"},
    Named{Capability::kImageToText, "Image to text"},
    Named{Capability::kLiveVideoToVideo, "Live video to video"},
    Named{Capability::kTextToSpeech, "Text to speech"},
    Named{Capability::kByoc, "byoc"},
    Named{Capability::kInpaint, "Inpaint"},
    Named{Capability::kTextToVideo, "Text to video"},
    Named{Capability::kFrameInterpolation, "Frame interpolation"},
    Named{Capability::kOtherDecode, "Decode of other codecs"},
};

constexpr Capability kFirstPipeline = Capability::kTextToImage;

bool is_pipeline(Capability capability) {
    return capability >= kFirstPipeline && capability != Capability::kByoc &&
           capability != Capability::kOtherDecode;
}

std::uint32_t number_of(Capability capability) {
    return static_cast<std::uint32_t>(capability);
}

void set_bit(std::vector<std::uint64_t>& bits, std::uint32_t number) {
    const std::size_t word = number / 64;
    if (bits.size() <= word) {
        bits.resize(word + 1);
    }
    bits[word] |= std::uint64_t{1} << number % 64;
}

// A shorter bit set fits into more peers' (section 4.2), so no zero words are left at the end.
void clear_bit(std::vector<std::uint64_t>& bits, std::uint32_t number) {
    const std::size_t word = number / 64;
    if (word < bits.size()) {
        bits[word] &= ~(std::uint64_t{1} << number % 64);
    }
    while (!bits.empty() && bits.back() == 0) {
        bits.pop_back();
    }
}

std::uint32_t add_saturating(std::uint32_t a, std::uint32_t b) {
    return b > std::numeric_limits<std::uint32_t>::max() - a ? std::numeric_limits<std::uint32_t>::max()
                                                             : a + b;
}

std::uint32_t subtract_saturating(std::uint32_t a, std::uint32_t b) {
    return b > a ? 0 : a - b;
}

// A peer that sends no capacities has one of everything it lists (section 4.2).
Capacities effective_capacities(const Capabilities& capabilities) {
    if (!capabilities.capacities.empty()) {
        return capabilities.capacities;
    }
    Capacities result;
    for (std::uint32_t number = 0; number <= kNumberMax && number / 64 < capabilities.bits.size(); ++number) {
        if ((capabilities.bits[number / 64] >> number % 64 & 1) != 0) {
            result.emplace(number, 1);
        }
    }
    return result;
}

void merge_model(Models& into, const std::string& id, const ModelConstraint& model, int sign) {
    const auto found = into.find(id);
    if (sign > 0) {
        if (found == into.end()) {
            into.emplace(id, model);
            return;
        }
        found->second.warm = found->second.warm || model.warm;
        found->second.capacity = add_saturating(found->second.capacity, model.capacity);
        found->second.capacity_in_use = add_saturating(found->second.capacity_in_use, model.capacity_in_use);
        return;
    }
    if (found == into.end()) {
        return;
    }
    found->second.capacity = subtract_saturating(found->second.capacity, model.capacity);
    found->second.capacity_in_use = subtract_saturating(found->second.capacity_in_use, model.capacity_in_use);
    if (found->second.capacity == 0) {
        into.erase(found);
    }
}

void add_output_needs(Capabilities& needs, const media::VideoProfile& profile) {
    needs.add(profile.container == media::Container::kMp4 ? Capability::kMp4 : Capability::kMpegTs);
    switch (profile.encoder) {
        case media::Encoder::kH264:
            needs.add(Capability::kH264);
            break;
        case media::Encoder::kHevc:
            needs.add(Capability::kHevcEncode);
            break;
        case media::Encoder::kVp8:
            needs.add(Capability::kVp8Encode);
            break;
        case media::Encoder::kVp9:
            needs.add(Capability::kVp9Encode);
            break;
    }
    switch (profile.h264_profile) {
        case media::H264Profile::kDefault:
            break;
        case media::H264Profile::kBaseline:
            needs.add(Capability::kH264Baseline);
            break;
        case media::H264Profile::kMain:
            needs.add(Capability::kH264Main);
            break;
        case media::H264Profile::kHigh:
            needs.add(Capability::kH264High);
            break;
        case media::H264Profile::kConstrainedHigh:
            needs.add(Capability::kH264ConstrainedHigh);
            break;
    }
    if (profile.fps_den > 1) {
        needs.add(Capability::kFractionalFps);
    }
    if (profile.gop_ms != 0) {
        needs.add(Capability::kGop);
    }
}

// "Text to image" -> "text-to-image".
char in_pipeline(char c) {
    return c == ' ' ? '-' : c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

}  // namespace

std::optional<Capability> capability_of_pipeline(std::string_view pipeline) {
    for (const auto& [capability, name] : kNames) {
        if (name.size() == pipeline.size() && is_pipeline(capability) &&
            std::ranges::equal(name, pipeline, {}, in_pipeline)) {
            return capability;
        }
    }
    return std::nullopt;
}

std::string pipeline_of(Capability capability) {
    std::string text(name_of(capability));
    std::ranges::transform(text, text.begin(), in_pipeline);
    return text;
}

std::string_view name_of(Capability capability) {
    const auto found = std::ranges::find(kNames, capability, &Named::capability);
    return found == kNames.end() ? std::string_view("unknown") : found->name;
}

void Capabilities::add(Capability capability, std::uint32_t capacity) {
    const auto number = static_cast<std::int32_t>(capability);
    if (number < 0 || number > static_cast<std::int32_t>(kNumberMax)) {
        return;
    }
    set_bit(bits, number_of(capability));
    capacities[number_of(capability)] = capacity;
}

void Capabilities::add_model(Capability capability, std::string model_id, ModelConstraint constraint) {
    if (!has(capability)) {
        add(capability);
    }
    constraints[number_of(capability)].insert_or_assign(std::move(model_id), std::move(constraint));
}

bool Capabilities::has(Capability capability) const {
    const auto number = static_cast<std::int32_t>(capability);
    const auto word = static_cast<std::size_t>(number) / 64;
    return number >= 0 && word < bits.size() && (bits[word] >> number % 64 & 1) != 0;
}

const ModelConstraint* Capabilities::model(Capability capability, std::string_view model_id) const {
    const auto models = constraints.find(number_of(capability));
    if (models == constraints.end()) {
        return nullptr;
    }
    const auto found = models->second.find(std::string(model_id));
    return found == models->second.end() ? nullptr : &found->second;
}

std::vector<std::uint64_t> bitstring(const std::vector<std::int32_t>& capabilities) {
    std::vector<std::uint64_t> bits;
    for (const std::int32_t number : capabilities) {
        if (number >= 0 && number <= static_cast<std::int32_t>(kNumberMax)) {
            set_bit(bits, static_cast<std::uint32_t>(number));
        }
    }
    return bits;
}

bool bits_within(const std::vector<std::uint64_t>& a, const std::vector<std::uint64_t>& b) {
    if (a.size() > b.size()) {
        return false;
    }
    for (std::size_t i = 0; i < a.size(); ++i) {
        if ((a[i] & b[i]) != a[i]) {
            return false;
        }
    }
    return true;
}

void merge(Capabilities& into, const Capabilities& worker, int sign) {
    for (const auto& [number, capacity] : effective_capacities(worker)) {
        if (number > kNumberMax) {
            continue;
        }
        auto& total = into.capacities[number];
        total = sign > 0 ? add_saturating(total, capacity) : subtract_saturating(total, capacity);
        if (total > 0) {
            set_bit(into.bits, number);
        } else {
            into.capacities.erase(number);
            clear_bit(into.bits, number);
        }
    }
    for (const auto& [number, models] : worker.constraints) {
        if (number > kNumberMax) {
            continue;
        }
        auto& known = into.constraints[number];
        for (const auto& [id, model] : models) {
            merge_model(known, id, model, sign);
        }
        if (known.empty()) {
            into.constraints.erase(number);
        }
    }
}

Capabilities transcode_capabilities() {
    Capabilities result;
    for (std::int32_t number = 0; number <= 12; ++number) {
        result.add(static_cast<Capability>(number));
    }
    result.add(Capability::kSegmentSlicing);
    return result;
}

Capabilities default_capabilities() {
    auto result = transcode_capabilities();
    result.add(Capability::kMpeg7Signature);
    return result;
}

std::optional<SourceCodec> source_codec(std::string_view name) {
    constexpr std::pair<std::string_view, SourceCodec> kKnown[]{
        {"h264", SourceCodec::kH264},
        {"hevc", SourceCodec::kHevc},
        {"vp8", SourceCodec::kVp8},
        {"vp9", SourceCodec::kVp9},
    };
    // Of libavcodec's decoders: cameras, discs, broadcast, editing, and what the web used to be made of.
    constexpr std::string_view kOthers[]{
        "apng",    "av1",       "bmp",       "cavs",      "cfhd",    "cinepak",  "cljr",       "dnxhd",
        "dvvideo", "dirac",     "ffv1",      "ffvhuff",   "flashsv", "flashsv2", "flv1",       "gif",
        "h261",    "h263",      "h263p",     "hap",       "huffyuv", "indeo2",   "indeo3",     "indeo4",
        "indeo5",  "jpeg2000",  "jpegls",    "magicyuv",  "mjpeg",   "mjpegb",   "mpeg1video", "mpeg2video",
        "mpeg4",   "msmpeg4v1", "msmpeg4v2", "msmpeg4v3", "mss1",    "mss2",     "msrle",      "msvideo1",
        "png",     "prores",    "qtrle",     "r210",      "rpza",    "snow",     "svq1",       "svq3",
        "theora",  "tiff",      "tscc",      "utvideo",   "v210",    "v308",     "v410",       "vc1",
        "vp3",     "vp5",       "vp6",       "vp6a",      "vp6f",    "vp7",      "vvc",        "webp",
        "wmv1",    "wmv2",      "wmv3",      "y41p",      "yuv4",    "zlib",     "zmbv",
    };
    for (const auto& [known, codec] : kKnown) {
        if (known == name) {
            return codec;
        }
    }
    return std::ranges::contains(kOthers, name) ? std::optional(SourceCodec::kOther) : std::nullopt;
}

namespace {

// Of H.264 that is not the usual 8 bit 4:2:0.
std::optional<Capability> decode_of(std::string_view pixel_format) {
    constexpr std::pair<std::string_view, Capability> kKnown[]{
        {"yuv444p", Capability::kH264Decode444},
        {"yuvj444p", Capability::kH264Decode444},
        {"yuv422p", Capability::kH264Decode422},
        {"yuvj422p", Capability::kH264Decode422},
        {"yuv444p10le", Capability::kH264Decode444Depth10},
        {"yuv422p10le", Capability::kH264Decode422Depth10},
        {"yuv420p10le", Capability::kH264Decode420Depth10},
    };
    const auto* found =
        std::ranges::find(kKnown, pixel_format, &std::pair<std::string_view, Capability>::first);
    return found == std::end(kKnown) ? std::nullopt : std::optional(found->second);
}

}  // namespace

Capabilities transcode_needs(
    const std::vector<media::VideoProfile>& profiles, SourceCodec source, bool sliced,
    std::string_view pixel_format
) {
    Capabilities needs;
    needs.add(Capability::kAuthToken);
    needs.add(Capability::kStorageDirect);
    if (sliced) {
        needs.add(Capability::kSegmentSlicing);
    }
    switch (source) {
        case SourceCodec::kH264:
            needs.add(Capability::kH264);
            if (const auto decode = decode_of(pixel_format)) {
                needs.add(*decode);
            }
            break;
        case SourceCodec::kHevc:
            needs.add(Capability::kHevcDecode);
            break;
        case SourceCodec::kVp8:
            needs.add(Capability::kVp8Decode);
            break;
        case SourceCodec::kVp9:
            needs.add(Capability::kVp9Decode);
            break;
        case SourceCodec::kOther:
            needs.add(Capability::kOtherDecode);
            break;
        case SourceCodec::kUnknown:
            break;
    }
    for (const auto& profile : profiles) {
        add_output_needs(needs, profile);
    }
    return needs;
}

Capabilities ai_needs(Capability capability, const std::string& model_id) {
    Capabilities needs = default_capabilities();
    needs.add(capability);
    needs.add_model(capability, model_id, ModelConstraint{.warm = false, .capacity = 1});
    return needs;
}

}  // namespace framegrid::job
