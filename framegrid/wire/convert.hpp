// Between protobuf messages and domain types. Everything read from a peer is checked and bounded here:
// kInvalidArgument names the field. Internal to this library and its tests.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <framegrid/wire/livepeer.pb.h>

#include <framegrid/api/orchestrator.hpp>
#include <framegrid/api/worker_host.hpp>
#include <framegrid/base/result.hpp>
#include <framegrid/job/capabilities.hpp>
#include <framegrid/media/profile.hpp>

namespace framegrid::wire {

// Far above what the network uses, far below what could hurt.
struct Limits {
    static constexpr std::size_t kTextBytes = 1024;  // ids, names, versions
    static constexpr std::size_t kUrlBytes = 8 * 1024;
    static constexpr std::size_t kTokenBytes = 256;
    static constexpr std::size_t kBitWords = 16;
    static constexpr std::size_t kCapabilities = 1024;
    static constexpr std::size_t kModels = 4096;  // of all capabilities together
    static constexpr std::size_t kPrices = 4096;
    static constexpr std::size_t kHardware = 1024;
    static constexpr std::size_t kGpus = 64;  // of one entry
    static constexpr std::size_t kNodes = 64;
    static constexpr int kSidePixels = 16'384;
    static constexpr std::uint64_t kLostJobs = 1'000'000;  // of one reason, between two polls
};

Result<void> check_text(std::string_view text, std::size_t limit, std::string field);

net::Capabilities to_proto(const job::Capabilities& capabilities);
Result<job::Capabilities> from_proto(const net::Capabilities& message);

net::AuthToken to_proto(const api::AuthToken& token);
Result<api::AuthToken> from_proto(const net::AuthToken& message);

net::VideoProfile to_proto(const media::VideoProfile& profile);
// `field` is the path of the message, for errors.
Result<media::VideoProfile> from_proto(const net::VideoProfile& message, const std::string& field);
// Chooses among fullProfiles, fullProfiles2 and fullProfiles3: the oldest field that can express the list.
void write_profiles(const std::vector<media::VideoProfile>& profiles, net::SegData& message);
// Prefers fullProfiles3, then 2, then fullProfiles. At most media::kProfilesMax.
Result<std::vector<media::VideoProfile>> read_profiles(const net::SegData& message);

net::LostJobs to_proto(const api::LostJobs& lost);
// Never an error, because a poll must not fail for it: counts are cut, a price that is none is left out.
api::LostJobs from_proto(const net::LostJobs& message);

net::HardwareInformation to_proto(const api::HardwareInfo& hardware);
Result<api::HardwareInfo> from_proto(const net::HardwareInformation& message);

net::OrchestratorInfo to_proto(const api::OrchestratorInfo& info);
Result<api::OrchestratorInfo> from_proto(const net::OrchestratorInfo& message);

// SegData's part that a job consists of; not its hash and signature.
net::SegData to_proto(const api::Job& job);
// The job with a TranscodeWork and no input. A missing auth token stays empty, missing capabilities too.
Result<api::Job> from_proto(const net::SegData& message);

// kInvalidArgument when the bytes are not that message.
template <class Message>
Result<Message> parse_message(std::string_view bytes) {
    Message message;
    if (bytes.size() > (std::size_t{1} << 30) ||
        !message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
        return fail(
            Errc::kInvalidArgument, "not a " + std::string(Message::descriptor()->name()) + " message"
        );
    }
    return message;
}

}  // namespace framegrid::wire
