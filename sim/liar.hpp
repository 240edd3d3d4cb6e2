// An orchestrator that breaks its word towards gateways; its workers notice nothing.
#pragma once

#include <framegrid/api/orchestrator.hpp>
#include <framegrid/runtime/random.hpp>

namespace framegrid::sim {

enum class Lie : std::uint8_t {
    kGarbage,        // answers rubbish at once
    kHang,           // takes jobs and never answers
    kBadTokens,      // hands out tokens that it then refuses
    kBusy,           // says that it has room, and refuses every job for want of it
    kIncompatible,   // advertises what it then says it cannot do
    kCallsInputBad,  // blames the client's input
};
inline constexpr std::uint64_t kLies = 6;

class Liar final : public api::Orchestrator {
  public:
    Liar(api::Orchestrator& honest, Clock& clock, Random& random, Lie lie)
        : honest_(honest), clock_(clock), random_(random), lie_(lie) {}

    Task<Result<api::OrchestratorInfo>> get_info(api::InfoRequest request, Deadline deadline) override;
    Task<Result<api::JobOutput>> run(api::Job job, Deadline deadline) override;
    Task<Result<void>> end_session(api::AuthToken token, Deadline deadline) override;

  private:
    api::Orchestrator& honest_;
    Clock& clock_;
    Random& random_;
    Lie lie_;
};

}  // namespace framegrid::sim
