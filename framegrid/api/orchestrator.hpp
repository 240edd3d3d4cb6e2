// An orchestrator as gateways see it. Implemented by the orchestrator role itself (a direct call), by the
// wire client and by the simulator's network.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <framegrid/api/lost_jobs.hpp>
#include <framegrid/api/work.hpp>
#include <framegrid/crypto/keys.hpp>
#include <framegrid/job/capabilities.hpp>

namespace framegrid::pay {
struct Payment;
struct TicketParams;
}  // namespace framegrid::pay

namespace framegrid::api {

// Opaque to gateways; only its issuer can check it (protocol section 5.8).
struct AuthToken {
    Bytes token;
    std::string session_id;
    std::int64_t expires_unix_s = 0;
    friend bool operator==(const AuthToken&, const AuthToken&) = default;
};

struct GpuInfo {
    std::string id;
    std::string name;
    std::int64_t memory_free = 0;   // bytes
    std::int64_t memory_total = 0;  // bytes
    std::uint32_t major = 0;
    std::uint32_t minor = 0;
    friend bool operator==(const GpuInfo&, const GpuInfo&) = default;
};

struct HardwareInfo {
    std::string pipeline;
    std::string model_id;
    std::map<std::string, GpuInfo> gpus;
    friend bool operator==(const HardwareInfo&, const HardwareInfo&) = default;
};

struct ModelPrice {
    Price price;
    std::uint32_t capability = 0;
    std::string model_id;
    friend bool operator==(const ModelPrice&, const ModelPrice&) = default;
};

// What an orchestrator says of itself (protocol section 2.1, OrchestratorInfo).
struct OrchestratorInfo {
    std::string service_uri;  // where work goes; empty: not working
    std::optional<Price> price;
    // What to pay that price with, worth nothing at a price of 0; null: nothing is paid.
    std::shared_ptr<const pay::TicketParams> ticket_params;
    Bytes address;  // 20 bytes, or empty off-chain
    std::optional<job::Capabilities> capabilities;
    AuthToken auth_token;
    std::vector<HardwareInfo> hardware;
    std::vector<ModelPrice> model_prices;
    std::vector<std::string> nodes;  // further service URIs of the same orchestrator
};

struct InfoRequest {
    std::optional<job::Capabilities> needs;  // absent: a full poll (prices and hardware included)
    bool ignore_capacity = false;
    crypto::Address sender{};  // who asks and would pay; all zero: nobody that is known
    LostJobs lost{};           // of this gateway, since it last polled this orchestrator
};

// One job: a segment of a stream, or one AI request.
struct Job {
    std::string manifest_id;  // stream, or "<capability>_<model>"
    std::int64_t seq = 0;
    AuthToken token;
    job::Capabilities needs;
    Work work;
    ArtifactSink early = nullptr;     // told of renditions when the work asks for that; at most once for each
    ProgressSink progress = nullptr;  // told when AI work asks for that; starts again when the work does
    crypto::Address sender{};         // who asks, as it has proved; all zero: nobody that is known
    std::shared_ptr<const pay::Payment> payment;  // null: none, or taken already
    crypto::Hash32 receipt{};  // id of this job in both sides' receipts, drawn by who pays; all zero: none
    std::optional<Price> agreed{};  // what a payment that was taken already expects
};

struct JobOutput {
    WorkOutput output;
    std::optional<OrchestratorInfo> info;  // refreshed by the answer
};

class Orchestrator {
  public:
    virtual ~Orchestrator() = default;
    virtual Task<Result<OrchestratorInfo>> get_info(InfoRequest request, Deadline deadline) = 0;
    // kCapacity: full, another node may not be; kUnavailable/kDeadline/kProtocol: the node is at fault;
    // kUnprocessable and the other rejects: the job itself is at fault and no other node should be asked.
    virtual Task<Result<JobOutput>> run(Job job, Deadline deadline) = 0;
    virtual Task<Result<void>> end_session(AuthToken token, Deadline deadline) = 0;
};

// Port: opens the orchestrator behind a service URI. Cheap; connections are made on first use and reused.
class OrchestratorDirectory {
  public:
    virtual ~OrchestratorDirectory() = default;
    virtual std::shared_ptr<Orchestrator> at(const std::string& service_uri) = 0;
};

}  // namespace framegrid::api
