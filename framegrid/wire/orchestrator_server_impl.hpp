// The parts of OrchestratorServer. Internal.
#pragma once

#include <framegrid/wire/livepeer.pb.h>
#include <framegrid/http/event_stream.hpp>
#include <framegrid/runtime/channel.hpp>
#include <framegrid/wire/grpc.hpp>
#include <framegrid/wire/orchestrator_server.hpp>
#include <framegrid/wire/segment_header.hpp>
#include <framegrid/wire/task_result.hpp>

namespace framegrid::wire {

// A plain-text answer as peers expect it on protocol routes, with the code's name for our own nodes.
struct Refusal {
    int status = 500;
    std::string text;
    Errc code = Errc::kInternal;
    std::string detail{};  // in our words, where `text` is the protocol's
};
template <class T>
using Checked = std::expected<T, Refusal>;

inline std::string content_type_of(const http::Exchange& exchange) {
    return std::string(exchange.head.headers.get("content-type").value_or(""));
}

class OrchestratorServer::Impl {
  public:
    Impl(ServerPorts ports, OrchestratorServerSettings settings);

    Task<void> serve(http::Exchange& exchange);
    void set_service_uri(std::string uri) { settings_.service_uri = std::move(uri); }
    const OrchestratorServerStats& stats() const { return stats_; }

  private:
    // gRPC methods.
    Task<Result<std::string>> get_orchestrator(std::string request, Deadline deadline);
    Task<Result<std::string>> end_session(std::string request, Deadline deadline);
    Task<Result<std::string>> ping(std::string request, Deadline deadline);
    Task<Result<void>> register_transcoder(std::string request, GrpcSink& sink);
    Task<Result<void>> register_ai_worker(std::string request, GrpcSink& sink);
    Task<Result<void>> send_tasks(api::Registration registration, GrpcSink& sink);
    Result<std::string> notification(api::WorkerKind kind, const api::WorkerTask& task);

    // Jobs.
    Task<void> serve_segment(http::Exchange& exchange);
    Task<void> serve_ai(http::Exchange& exchange, std::string pipeline);
    Task<void> run_ai(http::Exchange& exchange, api::Job job, bool inline_images);
    Task<void> answer_ai(http::Exchange& exchange, std::string pipeline, Result<std::string> answer);
    Task<void> serve_apps(http::Exchange& exchange);
    Task<void> serve_discovery(http::Exchange& exchange);
    Task<void> serve_app(http::Exchange& exchange, std::string runner);
    Task<void> serve_echo(http::Exchange& exchange);
    Task<void> serve_echo_transfer(http::Exchange& exchange, api::Job job, std::uint64_t bytes);
    Task<void> serve_payment(http::Exchange& exchange);
    Task<void> serve_refresh_payment(http::Exchange& exchange);
    // Before the body is read. False: it was refused and answered.
    Task<bool> take_payment(http::Exchange& exchange, api::Job& head);
    Result<std::shared_ptr<const pay::Payment>> read_payment(std::string_view text);
    Checked<SegmentHeader> read_headers(const http::Exchange& exchange);
    Task<Checked<Blob>> read_media(http::Exchange& exchange, crypto::Hash32 hash);
    Task<Checked<Blob>> read_body(http::Exchange& exchange) const;
    Task<std::string> transcode_answer(api::Job job);
    // The same while `exchange` is told of renditions as they are done.
    Task<std::string> early_answer(api::Job job, http::Exchange& exchange);
    Task<Result<std::string>> answer_and_close(api::Job job, std::shared_ptr<Channel<std::string>> pieces);
    Task<Result<net::TranscodeData>> transcode_data(api::JobOutput output, api::Job head);
    std::string ai_answer(const api::JobOutput& output, const std::string& session_id, bool inline_images);

    // Files and results.
    Task<void> serve_file(http::Exchange& exchange);
    Task<void> answer_upload(http::Exchange& exchange, Task<Checked<void>> taking);
    Task<Checked<void>> take_result(http::Exchange& exchange, api::WorkerKind kind);
    // An upload that is one body: `report` is what its head says, `submit` where it goes.
    template <class Report>
    Task<Checked<void>> take_part(
        http::Exchange& exchange, std::expected<Report, UploadRefusal> report, std::size_t bytes_max,
        Blob& (*bytes_of)(Report&), Task<Result<void>> (api::WorkerHost::*submit)(Report, Deadline)
    );
    Task<Checked<void>> take_early(http::Exchange& exchange);
    Task<Checked<void>> take_progress(http::Exchange& exchange);

    Task<void> refuse(http::Exchange& exchange, Refusal refusal);
    std::string stored_url(const std::string& session_id, const std::string& name, Blob bytes);

    ServerPorts ports_;
    OrchestratorServerSettings settings_;
    GrpcServer grpc_;
    SegmentHeaderReader segment_headers_;
    std::string on_credit_header_;  // the last payment header without tickets
    std::shared_ptr<const pay::Payment> on_credit_;
    bool signs_;  // off-chain nothing is signed, so nothing needs hashing
    std::uint64_t next_file_ = 0;
    OrchestratorServerStats stats_;
};

}  // namespace framegrid::wire
