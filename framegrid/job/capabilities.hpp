// What a node can do and what a job needs: bit sets, capacities and model constraints (protocol section 4).
#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/container/flat_map.hpp>

#include <framegrid/base/result.hpp>
#include <framegrid/media/profile.hpp>

namespace framegrid::job {

// Wire bit positions: never renumber (protocol section 4.1).
enum class Capability : std::int32_t {
    kH264 = 0,
    kMpegTs = 1,
    kMp4 = 2,
    kFractionalFps = 3,
    kStorageDirect = 4,
    kStorageS3 = 5,
    kStorageGcs = 6,
    kH264Baseline = 7,
    kH264Main = 8,
    kH264High = 9,
    kH264ConstrainedHigh = 10,
    kGop = 11,
    kAuthToken = 12,
    kMpeg7Signature = 14,
    kHevcDecode = 15,
    kHevcEncode = 16,
    kVp8Decode = 17,
    kVp9Decode = 18,
    kVp8Encode = 19,
    kVp9Encode = 20,
    kH264Decode444 = 21,
    kH264Decode422 = 22,
    kH264Decode444Depth10 = 23,
    kH264Decode422Depth10 = 24,
    kH264Decode420Depth10 = 25,
    kSegmentSlicing = 26,
    kTextToImage = 27,
    kImageToImage = 28,
    kImageToVideo = 29,
    kUpscale = 30,
    kAudioToText = 31,
    kSegmentAnything2 = 32,
    kLlm = 33,
    kImageToText = 34,
    kLiveVideoToVideo = 35,
    kTextToSpeech = 36,
    kByoc = 37,
    // Ours, for pipelines that the network has no number for. Far from its own, which grow by one; peers
    // treat numbers that they do not know as capabilities that they do not need.
    kInpaint = 96,
    kTextToVideo = 97,
    kFrameInterpolation = 98,
    kOtherDecode = 99,  // sources in codecs that the network has no number for: AV1, MPEG-2, ProRes ...
};

// "upscale" -> kUpscale; nullopt for pipelines the network has no number for.
std::optional<Capability> capability_of_pipeline(std::string_view pipeline);
std::string pipeline_of(Capability capability);
std::string_view name_of(Capability capability);

// Of the protocol that is spoken, in the numbers of the original's releases: its nodes refuse peers below
// their own minimum, and AI workers that name none.
inline constexpr const char* kProtocolVersion = "0.9.1";

struct ModelConstraint {
    bool warm = false;
    std::uint32_t capacity = 0;
    std::string runner_version{};
    std::uint32_t capacity_in_use = 0;
    friend bool operator==(const ModelConstraint&, const ModelConstraint&) = default;
};
using Models = std::map<std::string, ModelConstraint>;  // by model id

// Capability -> simultaneous jobs. Flat: it is copied and compared with every poll and every job.
using Capacities = boost::container::flat_map<std::uint32_t, std::uint32_t>;

struct Capabilities {
    std::vector<std::uint64_t> bits;  // word c/64, bit c%64
    std::vector<std::uint64_t> mandatories;
    Capacities capacities;
    std::string version;
    std::string min_version;
    std::map<std::uint32_t, Models> constraints;  // capability -> models

    void add(Capability capability, std::uint32_t capacity = 1);
    // Lists a model under a capability (and adds the capability's bit).
    void add_model(Capability capability, std::string model_id, ModelConstraint constraint);
    bool has(Capability capability) const;
    const ModelConstraint* model(Capability capability, std::string_view model_id) const;
    friend bool operator==(const Capabilities&, const Capabilities&) = default;
};

// Words for a list of capability numbers; negative numbers are skipped.
std::vector<std::uint64_t> bitstring(const std::vector<std::int32_t>& capabilities);
// `a` compatible with `b`: a is not longer and a's bits are all in b (section 4.2).
bool bits_within(const std::vector<std::uint64_t>& a, const std::vector<std::uint64_t>& b);

// The section 4.3 rule: can an offer serve these needs? An absent offer counts as the legacy set {0..11}.
bool compatible(const Capabilities& needs, const std::optional<Capabilities>& offer);
// What an offer lacks for that, for people: "Upscale, the model acme/x4". Empty when it lacks nothing.
std::string missing(const Capabilities& needs, const std::optional<Capabilities>& offer);

// Adds (sign +1) or removes (sign -1) a remote worker's capabilities; bits whose capacity falls to 0 are
// cleared.
void merge(Capabilities& into, const Capabilities& worker, int sign);

// 0-12, 14, 26 with capacity 1 each: what every node of the original offers, and gateways ask of nodes for
// AI.
Capabilities default_capabilities();
// The same without 14, perceptual hashes: gateways that verify segments by them fail those that have none.
Capabilities transcode_capabilities();

// The video codec of a source as far as capabilities care.
enum class SourceCodec : std::uint8_t { kUnknown, kH264, kHevc, kVp8, kVp9, kOther };
// By libavcodec's name ("h264"); nothing: one that no worker of ours reads.
std::optional<SourceCodec> source_codec(std::string_view name);
// What a transcode job needs (section 4.3, last paragraph).
Capabilities transcode_needs(
    const std::vector<media::VideoProfile>& profiles, SourceCodec source, bool sliced,
    std::string_view pixel_format = {}
);
// What an AI job needs: the default set, the capability and the model (cold is good enough).
Capabilities ai_needs(Capability capability, const std::string& model_id);

}  // namespace framegrid::job
