#include <framegrid/wire/worker_client.hpp>

#include <framegrid/runtime/task_group.hpp>
#include <framegrid/wire/convert.hpp>
#include <framegrid/wire/grpc.hpp>
#include <framegrid/wire/peer_url.hpp>
#include <framegrid/wire/protocol_error.hpp>
#include <framegrid/wire/task_messages.hpp>

namespace framegrid::wire {

namespace {

constexpr Duration kHeadTimeMax = std::chrono::seconds(2);
constexpr Duration kForever = std::chrono::hours(24 * 365);
constexpr std::size_t kAnswerBytesMax = 4 * 1024;

// A result's pieces as a body, so that renditions are not copied into one buffer.
class PieceReader final : public http::BodyReader {
  public:
    explicit PieceReader(std::vector<Blob> pieces) : pieces_(std::move(pieces)) {}
    Task<Result<Blob>> read() override {
        while (at_ < pieces_.size()) {
            Blob piece = pieces_[at_++];
            if (!piece.empty()) {
                co_return piece;
            }
        }
        co_return Blob();
    }
    const http::Headers& trailers() const override { return none_; }

  private:
    std::vector<Blob> pieces_;
    std::size_t at_ = 0;
    http::Headers none_;
};

template <class Message>
Result<api::WorkerTask> parse_task(std::string_view bytes) {
    FG_TRY(message, parse_message<Message>(bytes));
    return read_task(message);
}

// A registration under way: orchestrators of the original send their head with the first task, maybe hours
// later. Outlives a stream that is given up.
struct Opening {
    GrpcClient grpc;
    std::string method;
    std::string request;
    std::optional<Result<std::unique_ptr<GrpcStream>>> result{};
    Notifier done{};
};

Task<void> open(std::shared_ptr<Opening> opening, Clock& clock) {
    opening->result = co_await opening->grpc.server_stream(
        opening->method, opening->request, Deadline::after(clock, kForever)
    );
    opening->done.notify_all();
}

class WireTaskStream final : public api::TaskStream {
  public:
    WireTaskStream(
        Executor executor, const ClientPorts& ports, http::Url base, api::WorkerKind kind, std::string method,
        std::string request
    )
        : clock_(ports.clock),
          kind_(kind),
          opening_(std::make_shared<Opening>(
              GrpcClient(ports.client, ports.clock, std::move(base)), std::move(method), std::move(request)
          )),
          group_(std::move(executor), 1) {
        group_.spawn(open(opening_, clock_));
    }

    // Until the orchestrator has answered, or that time has come: kDeadline.
    Task<Result<void>> answered(Deadline deadline) {
        while (!opening_->result) {
            if (!co_await opening_->done.wait_until(clock_, deadline.at)) {
                co_return fail(Errc::kDeadline, "the orchestrator has not answered the registration yet");
            }
        }
        if (!*opening_->result) {
            co_return fail(opening_->result->error());
        }
        co_return Result<void>{};
    }

    Task<Result<api::WorkerTask>> next() override {
        FG_CO_CHECK(co_await answered(Deadline::after(clock_, kForever)));
        FG_CO_TRY(message, co_await (**opening_->result)->next());
        if (!message) {
            co_return fail(
                Errc::kUnavailable,
                "the orchestrator ended the registration: it stops, or wants a later --protocol-version"
            );
        }
        auto task = kind_ == api::WorkerKind::kAi ? parse_task<net::NotifyAIJob>(*message)
                                                  : parse_task<net::NotifySegment>(*message);
        if (!task) {
            co_return fail(as_peer_fault(std::move(task).error(), "task"));
        }
        co_return std::move(*task);
    }

  private:
    Clock& clock_;
    api::WorkerKind kind_;
    std::shared_ptr<Opening> opening_;
    TaskGroup group_;
};

}  // namespace

WireWorkerHost::WireWorkerHost(ClientPorts ports, const std::string& orchestrator_uri)
    : ports_(ports), base_(http::parse_url(orchestrator_uri)) {}

Task<Result<std::unique_ptr<api::TaskStream>>> WireWorkerHost::register_worker(
    api::Registration registration, Deadline deadline
) {
    if (!base_) {
        co_return fail(base_.error());
    }
    const bool ai = registration.kind == api::WorkerKind::kAi;
    auto stream = std::make_unique<WireTaskStream>(
        co_await this_executor(), ports_, *base_, registration.kind,
        ai ? "net.AIWorker/RegisterAIWorker" : "net.Transcoder/RegisterTranscoder",
        ai ? write_ai_registration(registration).SerializeAsString()
           : write_transcoder_registration(registration).SerializeAsString()
    );
    const auto opened = co_await stream->answered(deadline.at_most(ports_.clock, kHeadTimeMax));
    if (!opened && opened.error().code != Errc::kDeadline) {
        co_return fail(opened.error());
    }
    co_return std::unique_ptr<api::TaskStream>(std::move(stream));
}

Task<Result<Blob>> WireWorkerHost::fetch_input(std::string url, Deadline deadline) {
    if (!base_) {
        co_return fail(base_.error());
    }
    auto place = resolve(*base_, url);
    if (!place) {
        co_return fail(as_peer_fault(std::move(place).error(), "input URL"));
    }
    http::Request request;
    request.url = std::move(*place);
    FG_CO_TRY(answer, co_await ports_.client.fetch(std::move(request), media::kSegmentBytesMax, deadline));
    if (answer.status != 200) {
        co_return fail(error_from_answer(answer.status, answer.headers, answer.body.text()));
    }
    co_return std::move(answer.body);
}

Task<Result<void>> WireWorkerHost::submit(api::TaskReport report, Deadline deadline) {
    co_return co_await send(write_result(report, "framegrid" + ports_.random.hex(16)), deadline);
}

Task<Result<void>> WireWorkerHost::submit_early(api::EarlyReport report, Deadline deadline) {
    co_return co_await send(write_early_report(report), deadline);
}

Task<Result<void>> WireWorkerHost::submit_progress(api::ProgressReport report, Deadline deadline) {
    co_return co_await send(write_progress_report(report), deadline);
}

Task<Result<void>> WireWorkerHost::send(ResultUpload upload, Deadline deadline) {
    if (!base_) {
        co_return fail(base_.error());
    }
    http::Request request;
    request.method = "POST";
    request.url = url_below(*base_, upload.path);
    request.headers = std::move(upload.headers);
    request.body_source = std::make_shared<PieceReader>(std::move(upload.pieces));
    FG_CO_TRY(answer, co_await ports_.client.fetch(std::move(request), kAnswerBytesMax, deadline));
    if (answer.status == 200) {
        co_return Result<void>{};
    }
    if (answer.status == 401) {
        co_return fail(Errc::kUnauthorized, "the orchestrator does not accept our secret");
    }
    co_return fail(error_from_answer(answer.status, answer.headers, answer.body.text()));
}

}  // namespace framegrid::wire
