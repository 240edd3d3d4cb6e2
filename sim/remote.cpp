#include <sim/remote.hpp>

#include <charconv>

namespace framegrid::sim {

namespace {

constexpr std::string_view kScheme = "https://o";

class RemoteOrchestrator final : public api::Orchestrator {
  public:
    RemoteOrchestrator(Network& network, NodeId self, NodeId peer)
        : network_(network), self_(self), peer_(peer) {}

    Task<Result<api::OrchestratorInfo>> get_info(api::InfoRequest request, Deadline deadline) override {
        return network_.call<api::OrchestratorInfo>(
            self_, peer_, Kind::kInfo, deadline,
            [&node = network_.node(peer_), request = std::move(request), deadline](const auto&) {
                return node.front->get_info(request, deadline);
            }
        );
    }
    Task<Result<api::JobOutput>> run(api::Job job, Deadline deadline) override {
        return network_.call<api::JobOutput>(
            self_, peer_, Kind::kRun, deadline,
            [&network = network_, job = std::move(job), deadline](const std::shared_ptr<CallBase>& call) {
                api::Job sent = job;
                sent.early = network.early_to_caller(call, job.early);
                sent.progress = network.progress_to_caller(call, job.progress);
                return network.node(call->to).front->run(std::move(sent), deadline);
            }
        );
    }
    Task<Result<void>> end_session(api::AuthToken token, Deadline deadline) override {
        return network_.call<void>(
            self_, peer_, Kind::kEndSession, deadline,
            [&node = network_.node(peer_), token = std::move(token), deadline](const auto&) {
                return node.front->end_session(token, deadline);
            }
        );
    }

  private:
    Network& network_;
    NodeId self_;
    NodeId peer_;
};

class Nowhere final : public api::Orchestrator {
  public:
    Task<Result<api::OrchestratorInfo>> get_info(api::InfoRequest, Deadline) override {
        co_return fail(Errc::kUnavailable, "no such host");
    }
    Task<Result<api::JobOutput>> run(api::Job, Deadline) override {
        co_return fail(Errc::kUnavailable, "no such host");
    }
    Task<Result<void>> end_session(api::AuthToken, Deadline) override {
        co_return fail(Errc::kUnavailable, "no such host");
    }
};

class RemoteTaskStream final : public api::TaskStream {
  public:
    RemoteTaskStream(Network& network, std::shared_ptr<StreamLink> link)
        : network_(network), link_(std::move(link)) {
        link_->worker_open = true;
    }
    ~RemoteTaskStream() override { network_.close_stream(link_); }
    RemoteTaskStream(const RemoteTaskStream&) = delete;
    RemoteTaskStream& operator=(const RemoteTaskStream&) = delete;
    Task<Result<api::WorkerTask>> next() override {
        auto task = co_await link_->tasks.receive();
        if (!task) {
            co_return fail(Errc::kUnavailable, "the registration's stream ended");
        }
        co_return std::move(*task);
    }

  private:
    Network& network_;
    std::shared_ptr<StreamLink> link_;
};

// The host's end of a registration. With `by_url` it moves each task's input into the orchestrator's store,
// as the wire adapter does: the worker fetches it.
class HostStream final : public api::TaskStream {
  public:
    HostStream(Network::Node& host, api::WorkerKind kind, bool by_url, std::unique_ptr<api::TaskStream> inner)
        : host_(host), kind_(kind), by_url_(by_url), inner_(std::move(inner)) {}
    Task<Result<api::WorkerTask>> next() override {
        auto task = co_await inner_->next();
        if (task && !task->session_ended) {
            host_.last_task = {kind_, task->id};
            if (by_url_ && !task->work.input.empty()) {
                task->input_url = host_.service->store(
                    task->work.session_id, "in/" + std::to_string(task->id.value), std::move(task->work.input)
                );
                task->work.input = {};
            }
        }
        co_return task;
    }

  private:
    Network::Node& host_;
    api::WorkerKind kind_;
    bool by_url_;
    std::unique_ptr<api::TaskStream> inner_;
};

Task<Result<std::shared_ptr<StreamLink>>> accept_worker(
    Network& network, std::shared_ptr<CallBase> call, api::Registration registration, Deadline deadline,
    bool inputs_by_url
) {
    Network::Node& host = network.node(call->to);
    const api::WorkerKind kind = registration.kind;
    auto stream = co_await host.service->register_worker(std::move(registration), deadline);
    if (!stream) {
        co_return fail(std::move(stream.error()));
    }
    auto tasks = std::make_unique<HostStream>(host, kind, inputs_by_url, std::move(*stream));
    co_return network.open_stream(*call, std::move(tasks));
}

class RemoteHost final : public api::WorkerHost {
  public:
    RemoteHost(Network& network, NodeId self, NodeId peer, bool inputs_by_url)
        : network_(network), self_(self), peer_(peer), inputs_by_url_(inputs_by_url) {}

    Task<Result<std::unique_ptr<api::TaskStream>>> register_worker(
        api::Registration registration, Deadline deadline
    ) override {
        Network::Start<std::shared_ptr<StreamLink>> start =
            [&network = network_, registration = std::move(registration), deadline,
             by_url = inputs_by_url_](std::shared_ptr<CallBase> call) {
                return accept_worker(network, std::move(call), registration, deadline, by_url);
            };
        auto link = co_await network_.call<std::shared_ptr<StreamLink>>(
            self_, peer_, Kind::kRegister, deadline, std::move(start)
        );
        if (!link) {
            co_return fail(std::move(link.error()));
        }
        co_return std::make_unique<RemoteTaskStream>(network_, std::move(*link));
    }
    Task<Result<Blob>> fetch_input(std::string url, Deadline deadline) override {
        return network_.call<Blob>(
            self_, peer_, Kind::kFetch, deadline,
            [&node = network_.node(peer_), url = std::move(url), deadline](const auto&) {
                return node.service->fetch_input(url, deadline);
            }
        );
    }
    Task<Result<void>> submit_early(api::EarlyReport report, Deadline deadline) override {
        return network_.call<void>(
            self_, peer_, Kind::kSubmitEarly, deadline,
            [&node = network_.node(peer_), report = std::move(report), deadline](const auto&) {
                return node.service->submit_early(report, deadline);
            }
        );
    }
    Task<Result<void>> submit_progress(api::ProgressReport report, Deadline deadline) override {
        return network_.call<void>(
            self_, peer_, Kind::kSubmitEarly, deadline,
            [&node = network_.node(peer_), report = std::move(report), deadline](const auto&) {
                return node.service->submit_progress(report, deadline);
            }
        );
    }
    Task<Result<void>> submit(api::TaskReport report, Deadline deadline) override {
        for (const std::size_t index : report.delivered) {
            if (report.outcome && index < report.outcome->artifacts.size()) {
                report.outcome->artifacts[index].bytes = {};  // as the wire does
            }
        }
        return network_.call<void>(
            self_, peer_, Kind::kSubmit, deadline,
            [&node = network_.node(peer_), report = std::move(report), deadline](const auto&) {
                return node.service->submit(report, deadline);
            }
        );
    }

  private:
    Network& network_;
    NodeId self_;
    NodeId peer_;
    bool inputs_by_url_;
};

}  // namespace

std::string orchestrator_uri(std::size_t index) {
    return std::string(kScheme) + std::to_string(index);
}

RemoteOrchestrators::RemoteOrchestrators(Network& network, NodeId self, NodeId first, std::size_t count)
    : nowhere_(std::make_shared<Nowhere>()) {
    for (std::size_t i = 0; i < count; ++i) {
        remotes_.push_back(std::make_shared<RemoteOrchestrator>(network, self, first + static_cast<NodeId>(i))
        );
    }
}

std::shared_ptr<api::Orchestrator> RemoteOrchestrators::at(const std::string& service_uri) {
    std::size_t index = remotes_.size();
    if (service_uri.starts_with(kScheme)) {
        std::from_chars(service_uri.data() + kScheme.size(), service_uri.data() + service_uri.size(), index);
    }
    return index < remotes_.size() ? remotes_[index] : nowhere_;
}

std::shared_ptr<api::WorkerHost> remote_host(Network& network, NodeId self, NodeId host, bool inputs_by_url) {
    return std::make_shared<RemoteHost>(network, self, host, inputs_by_url);
}

}  // namespace framegrid::sim
