#include <framegrid/wire/convert.hpp>

#include <framegrid/wire/convert_checks.hpp>

#include <algorithm>
#include <limits>

namespace framegrid::wire {

namespace {

Result<std::map<std::uint32_t, job::Models>> read_constraints(const net::Capabilities::Constraints& message) {
    FG_CHECK(check_count(message.percapability().size(), Limits::kCapabilities, "capabilities.constraints"));
    std::map<std::uint32_t, job::Models> result;
    std::size_t count = 0;
    for (const auto& [number, models] : message.percapability()) {
        count += models.models().size();
        FG_CHECK(check_count(count, Limits::kModels, "capabilities.constraints.models"));
        auto& into = result[number];
        for (const auto& [id, model] : models.models()) {
            FG_CHECK(check_text(id, Limits::kTextBytes, "capabilities.constraints.models"));
            FG_CHECK(check_text(
                model.runnerversion(), Limits::kTextBytes, "capabilities.constraints.models.runnerVersion"
            ));
            into.emplace(
                id,
                job::ModelConstraint{
                    .warm = model.warm(),
                    .capacity = model.capacity(),
                    .runner_version = model.runnerversion(),
                    .capacity_in_use = model.capacityinuse(),
                }
            );
        }
    }
    return result;
}

// The name a reader derives when a writer sent none, before anything is signed or checked.
std::string derived_name(const net::VideoProfile& message) {
    return "net_" + std::to_string(message.width()) + "x" + std::to_string(message.height()) + "_" +
           std::to_string(message.bitrate());
}

Result<void> check_numbers(const net::VideoProfile& message, const std::string& field) {
    if (message.width() < 0 || message.width() > Limits::kSidePixels) {
        return refuse_field(field + ".width", "is out of range");
    }
    if (message.height() < 0 || message.height() > Limits::kSidePixels) {
        return refuse_field(field + ".height", "is out of range");
    }
    if (message.bitrate() < 0) {
        return refuse_field(field + ".bitrate", "is negative");
    }
    if (message.colordepth() < 0 || message.colordepth() > 8) {
        return refuse_field(field + ".colorDepth", "is out of range");
    }
    return {};
}

Result<void> check_enums(const net::VideoProfile& message, const std::string& field) {
    if (!net::VideoProfile::Format_IsValid(message.format())) {
        return refuse_field(field + ".format", "is unknown");
    }
    if (!net::VideoProfile::Profile_IsValid(message.profile())) {
        return refuse_field(field + ".profile", "is unknown");
    }
    if (!net::VideoProfile::VideoCodec_IsValid(message.encoder())) {
        return refuse_field(field + ".encoder", "is unknown");
    }
    if (!net::VideoProfile::ChromaSubsampling_IsValid(message.chromaformat())) {
        return refuse_field(field + ".chromaFormat", "is unknown");
    }
    return {};
}

bool needs_third_list(const media::VideoProfile& profile) {
    return profile.fps_den > 1 || profile.h264_profile != media::H264Profile::kDefault ||
           profile.gop_ms != 0 || profile.encoder != media::Encoder::kH264 || profile.color_depth != 0 ||
           profile.chroma != media::Chroma::k420 || profile.quality != 0;
}

Result<std::optional<api::Clip>> read_clip(const net::SegData& message) {
    if (!message.has_segment_parameters()) {
        return std::nullopt;
    }
    const auto& clip = message.segment_parameters();
    const auto limit = static_cast<std::uint64_t>(media::kSegmentMsMax);
    if (clip.from() > clip.to() || clip.to() > limit) {
        return refuse_field("segment_parameters", "is not a window of the segment");
    }
    return api::Clip{
        .from_ms = static_cast<std::int64_t>(clip.from()), .to_ms = static_cast<std::int64_t>(clip.to())
    };
}

}  // namespace

Result<void> check_text(std::string_view text, std::size_t limit, std::string field) {
    if (text.size() > limit) {
        return refuse_field(std::move(field), "is over " + std::to_string(limit) + " bytes");
    }
    return {};
}

net::Capabilities to_proto(const job::Capabilities& capabilities) {
    net::Capabilities message;
    message.mutable_bitstring()->Assign(capabilities.bits.begin(), capabilities.bits.end());
    message.mutable_mandatories()->Assign(capabilities.mandatories.begin(), capabilities.mandatories.end());
    auto& capacities = *message.mutable_capacities();
    for (const auto& [number, capacity] : capabilities.capacities) {
        capacities[number] = capacity;
    }
    message.set_version(capabilities.version);
    auto& constraints =
        *message.mutable_constraints();  // peers look into it without asking whether it is there
    constraints.set_minversion(capabilities.min_version);
    for (const auto& [number, models] : capabilities.constraints) {
        auto& into = *(*constraints.mutable_percapability())[number].mutable_models();
        for (const auto& [id, model] : models) {
            auto& entry = into[id];
            entry.set_warm(model.warm);
            entry.set_capacity(model.capacity);
            entry.set_runnerversion(model.runner_version);
            entry.set_capacityinuse(model.capacity_in_use);
        }
    }
    return message;
}

Result<job::Capabilities> from_proto(const net::Capabilities& message) {
    const auto words = [](const auto& field) { return static_cast<std::size_t>(field.size()); };
    FG_CHECK(check_count(words(message.bitstring()), Limits::kBitWords, "capabilities.bitstring"));
    FG_CHECK(check_count(words(message.mandatories()), Limits::kBitWords, "capabilities.mandatories"));
    FG_CHECK(check_count(message.capacities().size(), Limits::kCapabilities, "capabilities.capacities"));
    FG_CHECK(check_text(message.version(), Limits::kTextBytes, "capabilities.version"));
    job::Capabilities result;
    result.bits.assign(message.bitstring().begin(), message.bitstring().end());
    result.mandatories.assign(message.mandatories().begin(), message.mandatories().end());
    for (const auto& [number, capacity] : message.capacities()) {
        result.capacities.emplace(number, capacity);
    }
    result.version = message.version();
    if (message.has_constraints()) {
        const auto& constraints = message.constraints();
        FG_CHECK(
            check_text(constraints.minversion(), Limits::kTextBytes, "capabilities.constraints.minVersion")
        );
        result.min_version = constraints.minversion();
        FG_TRY(models, read_constraints(constraints));
        result.constraints = std::move(models);
    }
    return result;
}

net::AuthToken to_proto(const api::AuthToken& token) {
    net::AuthToken message;
    message.set_token(token.token.data(), token.token.size());
    message.set_session_id(token.session_id);
    message.set_expiration(token.expires_unix_s);
    return message;
}

Result<api::AuthToken> from_proto(const net::AuthToken& message) {
    FG_CHECK(check_text(message.token(), Limits::kTokenBytes, "auth_token.token"));
    FG_CHECK(check_text(message.session_id(), Limits::kTokenBytes, "auth_token.session_id"));
    return api::AuthToken{
        .token = to_bytes(message.token()),
        .session_id = message.session_id(),
        .expires_unix_s = message.expiration(),
    };
}

net::VideoProfile to_proto(const media::VideoProfile& profile) {
    net::VideoProfile message;
    message.set_name(profile.name);
    message.set_width(profile.width);
    message.set_height(profile.height);
    message.set_bitrate(static_cast<std::int32_t>(
        std::clamp<std::int64_t>(profile.bitrate_bps, 0, std::numeric_limits<std::int32_t>::max())
    ));
    message.set_fps(profile.fps_num);
    // Readers take a denominator that is set as a need for fractional frame rates.
    message.set_fpsden(profile.fps_den > 1 ? profile.fps_den : 0);
    message.set_format(static_cast<net::VideoProfile::Format>(profile.container));
    message.set_profile(static_cast<net::VideoProfile::Profile>(profile.h264_profile));
    message.set_gop(profile.gop_ms);
    message.set_encoder(static_cast<net::VideoProfile::VideoCodec>(profile.encoder));
    message.set_colordepth(profile.color_depth);
    message.set_chromaformat(static_cast<net::VideoProfile::ChromaSubsampling>(profile.chroma));
    message.set_quality(profile.quality);
    return message;
}

Result<media::VideoProfile> from_proto(const net::VideoProfile& message, const std::string& field) {
    FG_CHECK(check_text(message.name(), Limits::kTextBytes, field + ".name"));
    FG_CHECK(check_numbers(message, field));
    FG_CHECK(check_enums(message, field));
    media::VideoProfile profile;
    profile.name = message.name().empty() ? derived_name(message) : message.name();
    profile.width = message.width();
    profile.height = message.height();
    profile.bitrate_bps = message.bitrate();
    profile.fps_num = message.fps();
    profile.fps_den = message.fpsden() == 0 ? 1 : message.fpsden();
    profile.container = static_cast<media::Container>(message.format());
    profile.h264_profile = static_cast<media::H264Profile>(message.profile());
    profile.gop_ms = message.gop() < 0 ? media::kGopIntra : message.gop();
    profile.encoder = static_cast<media::Encoder>(message.encoder());
    // Bits above 8. Old gateways said bits; the original encodes 8 whatever is said.
    profile.color_depth = message.colordepth() > 2 ? 0 : message.colordepth();
    profile.chroma = static_cast<media::Chroma>(message.chromaformat());
    profile.quality = message.quality();
    return profile;
}

void write_profiles(const std::vector<media::VideoProfile>& profiles, net::SegData& message) {
    const bool third = std::ranges::any_of(profiles, needs_third_list);
    const bool second = std::ranges::any_of(profiles, [](const media::VideoProfile& profile) {
        return profile.container != media::Container::kMpegTs;
    });
    auto* list = third    ? message.mutable_fullprofiles3()
                 : second ? message.mutable_fullprofiles2()
                          : message.mutable_fullprofiles();
    for (const auto& profile : profiles) {
        *list->Add() = to_proto(profile);
    }
}

Result<std::vector<media::VideoProfile>> read_profiles(const net::SegData& message) {
    const bool third = message.fullprofiles3_size() > 0;
    const bool second = message.fullprofiles2_size() > 0;
    const auto& list = third    ? message.fullprofiles3()
                       : second ? message.fullprofiles2()
                                : message.fullprofiles();
    const std::string field = third ? "fullProfiles3" : second ? "fullProfiles2" : "fullProfiles";
    FG_CHECK(check_count(static_cast<std::size_t>(list.size()), media::kProfilesMax, field));
    std::vector<media::VideoProfile> profiles;
    for (int i = 0; i < list.size(); ++i) {
        FG_TRY(profile, from_proto(list[i], field + "[" + std::to_string(i) + "]"));
        profiles.push_back(std::move(profile));
    }
    return profiles;
}

net::SegData to_proto(const api::Job& job) {
    net::SegData message;
    message.set_manifestid(job.manifest_id);
    message.set_seq(job.seq);
    message.set_profiles("invalid");  // makes readers that predate the full profiles fail
    *message.mutable_capabilities() = to_proto(job.needs);
    *message.mutable_auth_token() = to_proto(job.token);
    if (const auto* work = std::get_if<api::TranscodeWork>(&job.work.kind)) {
        message.set_duration(static_cast<std::int32_t>(
            std::clamp<std::int64_t>(work->duration_ms, 0, std::numeric_limits<std::int32_t>::max())
        ));
        message.set_forcesessionreinit(work->force_reinit);
        message.set_early(work->early);
        write_profiles(work->profiles, message);
        if (work->clip) {
            message.mutable_segment_parameters()->set_from(static_cast<std::uint64_t>(work->clip->from_ms));
            message.mutable_segment_parameters()->set_to(static_cast<std::uint64_t>(work->clip->to_ms));
        }
    }
    return message;
}

Result<api::Job> from_proto(const net::SegData& message) {
    FG_CHECK(check_text(message.manifestid(), Limits::kTextBytes, "manifestId"));
    if (message.duration() < 0 || message.duration() > media::kSegmentMsMax) {
        return refuse_field("duration", "is out of range");
    }
    api::Job job;
    job.manifest_id = message.manifestid();
    job.seq = message.seq();
    if (message.has_auth_token()) {
        FG_TRY(token, from_proto(message.auth_token()));
        job.token = std::move(token);
    }
    if (message.has_capabilities()) {
        FG_TRY(needs, from_proto(message.capabilities()));
        job.needs = std::move(needs);
    }
    job.work.session_id = job.token.session_id;
    api::TranscodeWork work;
    FG_TRY(profiles, read_profiles(message));
    work.profiles = std::move(profiles);
    work.duration_ms = message.duration() == 0 ? media::kSegmentMsDefault : message.duration();
    FG_TRY(clip, read_clip(message));
    work.clip = clip;
    work.force_reinit = message.forcesessionreinit();
    work.early = message.early();
    job.work.kind = std::move(work);
    return job;
}

}  // namespace framegrid::wire
